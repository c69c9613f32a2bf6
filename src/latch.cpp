#include "latch.h"

#include "lot/parking_lot.h"
#include "os/thread_sanitizer.h"
#include "wait_kinds.h"

namespace underthread {

constexpr lot::WaitKind join_wait{"join", false, [](const lot::Waiter& waiter) noexcept {
                                    return waiter.token == 0 ? 0 : waiter.token | lot::only_it;
                                  }};

bool Latch::is_set() const noexcept {
  if (word_.load(std::memory_order_acquire) != set_word) return false;
  os::note_after(this);
  return true;
}

void Latch::set() noexcept {
  os::note_before(this);
  // release: pairs with is_set and wait. A waiter that has set `awaited` either is in the queue by
  // the time we have its bucket, or sees `set_word` when it validates under it.
  if (word_.exchange(set_word, std::memory_order_release) == awaited) lot::unpark_all(&word_);
}

lot::WaitEnd Latch::wait(lot::ThreadRecord& me, lot::Wait& wait, std::uint32_t by) noexcept {
  for (;;) {
    // acquire: if it has happened, what was done before is seen.
    std::uint32_t word = word_.load(std::memory_order_acquire);
    if (word == set_word) {
      os::note_after(this);
      return lot::WaitEnd::done;
    }
    // relaxed: announces only that the setter is to look into the lot; the bucket orders the rest.
    if (word == unset && !word_.compare_exchange_weak(word, awaited, std::memory_order_relaxed,
                                                      std::memory_order_relaxed))
      continue;
    if (wait.until <= 0) return lot::WaitEnd::timed_out;
    const auto not_yet = [this] { return word_.load(std::memory_order_relaxed) == awaited; };
    switch (lot::park(me, &word_, not_yet, wait, by, join_wait)) {
      case lot::ParkEnd::unparked:
      case lot::ParkEnd::handed_over:
      case lot::ParkEnd::refused:
        break;
      case lot::ParkEnd::timed_out:
        return lot::WaitEnd::timed_out;
      case lot::ParkEnd::interrupted:
        return lot::WaitEnd::interrupted;
      case lot::ParkEnd::deadlock:
        return lot::WaitEnd::deadlock;
    }
  }
}

}  // namespace underthread
