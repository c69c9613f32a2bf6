// os/futex.h as the machine has it.
#include "os/futex.h"

#include "engine/machine.h"

namespace underthread::os {

using explore::machine;

#define HERE __builtin_return_address(0)

FutexEnd futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                    std::int64_t until) noexcept {
  switch (machine.futex_wait(reinterpret_cast<std::uintptr_t>(&word), expected, until, HERE)) {
    case explore::SleepEnd::woken:
      return FutexEnd::woken;
    case explore::SleepEnd::timed_out:
      return FutexEnd::timed_out;
    case explore::SleepEnd::signalled:
      return FutexEnd::signalled;
  }
  return FutexEnd::woken;
}

void futex_wake_one(std::atomic<std::uint32_t>& word) noexcept {
  machine.futex_wake_one(reinterpret_cast<std::uintptr_t>(&word), HERE);
}

void futex_after_fork_in_child() noexcept {}

std::int64_t now() noexcept {
  return machine.now(HERE);
}

void relax() noexcept {
  machine.relax(HERE);
}

// Once round is enough to have gone round.
const std::uint32_t spin_limit = 1;
const std::uint32_t spin_most = 1;

}  // namespace underthread::os
