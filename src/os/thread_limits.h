// Why the system would not start a thread.
#pragma once

#include <cstddef>
#include <string>

namespace underthread::os {

/// The system's reason and, where it can be told, the limit that was hit: "Resource temporarily
/// unavailable: RLIMIT_NPROC allows this user 100 threads". Looks at the limits as they are now, so
/// it is to be asked at once.
/// @param error       what `start_thread` returned
/// @param stack_size  bytes that it was asked for; 0: the system's default
/// @param root        where /proc and /sys are found; "" but for tests
std::string why_no_thread(int error, std::size_t stack_size, const std::string& root = "");

}  // namespace underthread::os
