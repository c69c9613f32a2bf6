#include <underthread/errors.h>
#include <underthread/rlock.h>

#include "safe_point.h"

namespace underthread {

lot::WaitEnd RLock::acquire_waiting(lot::Wait& wait) {
  if (enter()) return lot::WaitEnd::done;
  const lot::WaitEnd end = lock_.acquire_waiting_as_rlock(wait);
  if (end == lot::WaitEnd::done) hold_once();
  return end;
}

bool RLock::acquire_with_interrupts(bool blocking, Timeout timeout) {
  const std::int64_t until = timeout.deadline(blocking);
  return wait_at_safe_point(
      until, [this](lot::ThreadRecord&, lot::Wait& wait) { return acquire_waiting(wait); });
}

bool RLock::lock_until(std::int64_t deadline) {
  return wait_until(deadline, [this](lot::Wait& wait) { return acquire_waiting(wait); });
}

std::uint32_t RLock::release_save() {
  if (!lock_.is_mine()) refuse_release();
  const std::uint32_t count = count_.exchange(0, std::memory_order_relaxed);
  lock_.give_up(Hold::scoped);
  return count;
}

void RLock::acquire_restore(std::uint32_t count) {
  lock_until(lot::never);
  count_.store(count, std::memory_order_relaxed);
}

void RLock::refuse_release() {
  throw error("cannot release un-acquired lock");
}

void RLock::refuse_overflow() {
  throw std::overflow_error("Internal lock count overflowed");
}

}  // namespace underthread
