// Interrupts for one thread and no other: a handle's.
#pragma once

#include <cstdint>
#include <exception>

namespace underthread {

/// As `interrupt`, to the thread that a lock word would name so. False: it has ended.
bool interrupt_holder(std::uint32_t holder, std::exception_ptr exception);

}  // namespace underthread
