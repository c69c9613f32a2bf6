#include "os/parker.h"

#include "os/futex.h"

namespace underthread::os {

Slept Parker::sleep(std::int64_t until) noexcept {
  for (;;) {
    FutexEnd end = FutexEnd::woken;
    std::uint32_t word = 0;
    // relaxed on success: falling asleep reads nothing of others and tells them nothing else.
    if (word_.compare_exchange_strong(word, asleep, std::memory_order_relaxed,
                                      std::memory_order_relaxed))
      end = futex_wait(word_, asleep, until);
    word = word_.fetch_and(~(asleep | poked), std::memory_order_acquire);
    if (word & woken) return Slept::woken;
    if (word & poked) return Slept::poked;
    if (end == FutexEnd::timed_out) return Slept::timed_out;
    if (end == FutexEnd::signalled) return Slept::signalled;
  }
}

void Parker::set(std::uint32_t bit) noexcept {
  if (word_.fetch_or(bit, std::memory_order_release) & asleep) futex_wake_one(word_);
}

}  // namespace underthread::os
