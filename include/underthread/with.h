// Python's `with lock:` in C++: a guard whose wait is a safe point. The standard's guards wait
// without one: no interrupt ends them, not even a TimeLimit.
#pragma once

#include <underthread/lock.h>
#include <underthread/rlock.h>
#include <underthread/thread_safety.h>

namespace underthread {

/// Holds a Lock or an RLock as a scoped hold while it exists.
///
///     const With with(lock);                          // throws what interrupts it, without the
///     lock if (const With with(lock, 50ms); with) { … }    // false: not in time
template <class Lockable>
class [[nodiscard]] UNDERTHREAD_SCOPED_CAPABILITY With {
 public:
  /// A safe point, as `acquire`.
  /// @throws as `acquire`
  [[nodiscard]] explicit With(Lockable& lock) UNDERTHREAD_ACQUIRE(lock) UNDERTHREAD_NOT_ANALYSED
      : With(lock, Timeout(-1)) {}

  /// The same with a limit: see `operator bool`.
  /// @throws also as Timeout::deadline
  [[nodiscard]] With(Lockable& lock, Timeout timeout)
      UNDERTHREAD_ACQUIRE(lock) UNDERTHREAD_NOT_ANALYSED
      : lock_(lock.acquire_scoped(timeout) ? &lock : nullptr) {}

  ~With() UNDERTHREAD_RELEASE() UNDERTHREAD_NOT_ANALYSED {
    if (lock_) lock_->unlock();
  }
  With(const With&) = delete;
  With& operator=(const With&) = delete;

  /// Whether it holds the lock.
  explicit operator bool() const noexcept { return lock_ != nullptr; }

 private:
  Lockable* lock_;
};

}  // namespace underthread
