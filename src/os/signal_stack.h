// On which stack our signal handlers run.
#pragma once

#include <csignal>

// g++ says it by the first name, clang++ by the second.
#ifdef __has_feature
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

namespace underthread::os {

/// For `sa_flags`: the thread's alternate stack if it has one, since it may have overflowed its
/// own.
///
/// Not where we are compiled with AddressSanitizer, which gives every thread such a stack and, with
/// detect_stack_use_after_return, keeps local variables elsewhere. After an exception the next
/// function that has some gives back those of the frames that were left: all below its own address.
/// In a handler on another stack that is every frame of the thread, living ones too
/// (google/sanitizers#1561).
#ifdef __SANITIZE_ADDRESS__
inline constexpr int on_signal_stack = 0;
#else
inline constexpr int on_signal_stack = SA_ONSTACK;
#endif

}  // namespace underthread::os
