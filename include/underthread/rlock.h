// RLock: a lock that its holder may acquire again, and that only its holder may release (Python's
// `threading.RLock`). Eight bytes: a Lock, and how often it is held.
#pragma once

#include <underthread/lock.h>
#include <underthread/thread_safety.h>

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <limits>

namespace underthread {

class UNDERTHREAD_CAPABILITY("mutex") RLock {
 public:
  constexpr RLock() noexcept = default;
  RLock(const RLock&) = delete;
  RLock& operator=(const RLock&) = delete;

  /// As Lock::acquire; at once, and always true, for the thread that holds it already.
  /// @throws also std::overflow_error "Internal lock count overflowed": held 4,294,967,295 times
  bool acquire() UNDERTHREAD_ACQUIRE() UNDERTHREAD_NOT_ANALYSED {
    const lot::ThreadHead* me = lot::this_thread;
    if (me && me->is_left_alone() && enter()) return true;
    return seen_if(acquire_with_interrupts(true, -1));
  }
  [[nodiscard]] bool acquire(bool blocking, Timeout timeout = -1)
      UNDERTHREAD_TRY_ACQUIRE(true) UNDERTHREAD_NOT_ANALYSED {
    const lot::ThreadHead* me = lot::this_thread;
    if (blocking && timeout.is_valid() && me && me->is_left_alone() && enter()) return true;
    return seen_if(acquire_with_interrupts(blocking, timeout));
  }
  template <TimeLimitLike T>
  [[nodiscard]] bool acquire(T timeout) UNDERTHREAD_TRY_ACQUIRE(true) UNDERTHREAD_NOT_ANALYSED {
    return acquire(true, Timeout(timeout));
  }
  template <WholeNumber T>
  bool acquire(T) {
    static_assert(!std::same_as<T, T>,
                  "say acquire(false) for a try, or acquire(std::chrono::seconds(n)) for a limit");
    return false;
  }

  /// Ends one hold; unlocks at the last.
  /// @throws error "cannot release un-acquired lock": the caller does not hold it
  void release() UNDERTHREAD_RELEASE() UNDERTHREAD_NOT_ANALYSED {
    if (!lock_.is_mine()) refuse_release();
    const std::uint32_t count = count_.load(std::memory_order_relaxed);
    count_.store(count - 1, std::memory_order_relaxed);
    if (count == 1) lock_.give_up(Hold::scoped);
  }

  /// True while anyone holds it.
  bool locked() const noexcept { return lock_.locked(); }
  /// The ident of the thread that holds it; 0 when it is unlocked or that thread has ended.
  Ident owner() const noexcept { return lock_.owner(); }
  /// How often its holder has acquired it; 0 when it is unlocked.
  std::uint32_t count() const noexcept { return count_.load(std::memory_order_relaxed); }
  /// True when the calling thread holds it (Python: `_is_owned`).
  bool is_mine() const noexcept { return lock_.is_mine(); }

  // The standard's Lockable; see lock.h.
  void lock() UNDERTHREAD_ACQUIRE() UNDERTHREAD_NOT_ANALYSED {
    if (!enter()) seen_if(lock_until(lot::never));
  }
  void unlock() UNDERTHREAD_RELEASE() UNDERTHREAD_NOT_ANALYSED { release(); }
  [[nodiscard]] bool try_lock() UNDERTHREAD_TRY_ACQUIRE(true) UNDERTHREAD_NOT_ANALYSED {
    return enter();
  }
  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& duration)
      UNDERTHREAD_TRY_ACQUIRE(true) UNDERTHREAD_NOT_ANALYSED {
    return enter() || seen_if(lock_until(deadline_after(duration)));
  }
  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& when)
      UNDERTHREAD_TRY_ACQUIRE(true) UNDERTHREAD_NOT_ANALYSED {
    return enter() || attempt_until(when, [this](std::int64_t deadline) {
             return seen_if(lock_until(deadline));
           });
  }

  // For bindings; see lock.h.

  /// `acquire(true, timeout)`, as each hold is a scoped one: With's.
  [[nodiscard]] bool acquire_scoped(Timeout timeout) UNDERTHREAD_NOT_ANALYSED {
    return acquire(true, timeout);
  }
  /// Acquires it if that needs no wait.
  /// @throws std::overflow_error as `acquire`
  bool enter() {
    if (!lock_.is_mine()) return lock_.try_acquire(Hold::scoped) && hold_once();
    if (!hold_again()) refuse_overflow();
    return true;
  }
  /// As Lock::acquire_fast, and also where the calling thread holds it already.
  bool acquire_fast() noexcept {
    if (lock_.is_mine()) return hold_again();
    return lock_.acquire_fast(Hold::scoped) && hold_once();
  }
  lot::WaitEnd acquire_waiting(lot::Wait& wait);
  /// Unlocks however often it is held and returns that number, for `acquire_restore` (Python:
  /// `_release_save`, which Condition.wait needs).
  /// @throws error "cannot release un-acquired lock"
  std::uint32_t release_save();
  /// Waits, uninterrupted, and holds it `count` times, at least 1.
  void acquire_restore(std::uint32_t count);
  void at_fork_reinit() noexcept {
    count_.store(0, std::memory_order_relaxed);
    lock_.at_fork_reinit();
  }

 private:
  bool acquire_with_interrupts(bool blocking, Timeout timeout);
  bool lock_until(std::int64_t deadline);
  /// As Lock's.
  bool seen_if(bool taken) const noexcept {
    if (taken) happens_after(&lock_);
    return taken;
  }
  bool hold_once() noexcept {
    count_.store(1, std::memory_order_relaxed);
    return true;
  }
  bool hold_again() noexcept {
    const std::uint32_t count = count_.load(std::memory_order_relaxed);
    if (count == std::numeric_limits<std::uint32_t>::max()) return false;
    count_.store(count + 1, std::memory_order_relaxed);
    return true;
  }
  [[noreturn]] static void refuse_release();
  [[noreturn]] static void refuse_overflow();

  Lock lock_;
  // Written only by the holder; relaxed because others read it only to show it.
  std::atomic<std::uint32_t> count_{0};
};

static_assert(sizeof(RLock) == 8);

}  // namespace underthread
