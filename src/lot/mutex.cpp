#include "lot/mutex.h"

#include <underthread/lot/wait.h>

#include "os/futex.h"

namespace underthread::lot {

void Mutex::lock_slow() noexcept {
  // Sections are shorter than a sleep, so a look or two pays; with somebody asleep already it is
  // not ours to overtake them for long.
  for (std::uint32_t turn = 0; turn < os::spin_limit; ++turn) {
    os::relax();
    std::uint32_t word = unlocked;
    if (word_.compare_exchange_strong(word, locked, std::memory_order_acquire,
                                      std::memory_order_relaxed))
      return;
    if (word == contended) break;
  }
  while (word_.exchange(contended, std::memory_order_acquire) != unlocked)
    os::futex_wait(word_, contended, never);
}

void Mutex::wake() noexcept {
  os::futex_wake_one(word_);
}

}  // namespace underthread::lot
