// Lock: a binary semaphore in four bytes that knows who acquired it (document: `allocate_lock` and
// the lock objects). Any thread may release it. Every wait for it can be timed and interrupted.
//
// The word, and what each bit makes legal:
//
//     31            12 11         2    1       0
//    +----------------+------------+-------+--------+
//    |  record index  | generation | scoped| parked |
//    +----------------+------------+-------+--------+
//     `----- holder: 0 = unlocked -'
//
//   holder   the thread that acquired it, by its record (src/lot/thread_record.h).
//            0: whoever writes itself here by compare-and-swap holds the lock.
//            not 0: only a release may change it, and only as follows.
//   scoped   how it is held. Set: by a guard (`lock()`, Python's `with`), so the same thread will
//            release it. Clear: by `acquire()`, a bare hold that any thread may release.
//   parked   someone waits in the lot, or did until just now. Clear: a release is one
//            compare-and-swap to 0. Set: only a release that holds the lot's bucket for this word
//            may free the word or hand it over, so that it and a thread about to sleep cannot miss
//            each other.
//
//   0                  unlocked, nobody waits
//   parked             unlocked, and others besides the one just woken wait
//   holder[|scoped]    locked, nobody waits
//   holder..|parked    locked, somebody waits: release wakes the first; one that has waited for
//                      1 ms is handed the lock, written here in its name before it wakes, unless
//                      another was within the last 200 us
//
// A thread that we did not start gets its record at its first lock. The process can have 1,048,575
// records in use at a time; a thread that needs one more throws `error`.
#pragma once

#include <underthread/deadline.h>
#include <underthread/ident.h>
#include <underthread/lot/thread_head.h>
#include <underthread/lot/wait.h>
#include <underthread/thread_safety.h>

#include <atomic>
#include <chrono>
#include <concepts>
#include <cstdint>

namespace underthread {

/// How a lock is held; the value is the word's `scoped` bit.
enum class Hold : std::uint32_t {
  bare = 0,    ///< any thread may release it
  scoped = 2,  ///< the thread that took it releases it, at the end of a scope
};

class UNDERTHREAD_CAPABILITY("mutex") Lock {
 public:
  constexpr Lock() noexcept = default;
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

  /// Takes the lock as a bare hold, and waits for it if need be; always true. A safe point:
  /// interrupts that are due are delivered here, before the lock is taken, and cut a wait short.
  /// What a handler throws leaves from here, without the lock.
  /// @throws whatever an interrupt delivers
  bool acquire() UNDERTHREAD_ACQUIRE() UNDERTHREAD_NOT_ANALYSED {
    lot::ThreadHead* me = lot::this_thread;
    if (me && me->is_left_alone() && take(me->holder)) return true;
    return seen_if(acquire_with_interrupts(Hold::bare, true, -1));
  }

  /// The same with a limit; true when it took the lock. `timeout` is in seconds, a duration or a
  /// moment of steady_clock; -1 waits for ever.
  /// @throws also as Timeout::deadline
  [[nodiscard]] bool acquire(bool blocking, Timeout timeout = -1)
      UNDERTHREAD_TRY_ACQUIRE(true) UNDERTHREAD_NOT_ANALYSED {
    lot::ThreadHead* me = lot::this_thread;
    const bool tries = !blocking && timeout.is_forever();
    if (me && me->is_left_alone()) {
      if (tries && locked()) return false;
      if ((tries || (blocking && timeout.is_valid())) && take(me->holder)) return true;
    }
    return seen_if(acquire_with_interrupts(Hold::bare, blocking, timeout));
  }

  /// The same: `acquire(true, timeout)`.
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

  /// Unlocks, whoever holds it and however.
  /// @throws error "release unlocked lock"
  void release() UNDERTHREAD_RELEASE() UNDERTHREAD_NOT_ANALYSED { give_up(Hold::bare); }

  /// True while anyone holds it. The answer may be old when it arrives.
  bool locked() const noexcept { return holder_of(word_.load(std::memory_order_relaxed)) != 0; }

  /// The ident of the thread that acquired it; 0 when it is unlocked or that thread has ended.
  Ident owner() const noexcept;

  // The standard's Lockable, for std::scoped_lock, std::unique_lock and condition_variable_any.
  // Scoped holds. No safe points: code written for these names does not expect an interrupt to be
  // thrown. Waits end only as the name says.

  void lock() UNDERTHREAD_ACQUIRE() UNDERTHREAD_NOT_ANALYSED {
    if (!acquire_fast(Hold::scoped)) seen_if(lock_until(lot::never));
  }
  /// @throws error "release unlocked lock"
  void unlock() UNDERTHREAD_RELEASE() UNDERTHREAD_NOT_ANALYSED { give_up(Hold::scoped); }
  [[nodiscard]] bool try_lock() UNDERTHREAD_TRY_ACQUIRE(true) UNDERTHREAD_NOT_ANALYSED {
    return try_acquire(Hold::scoped);
  }

  template <class Rep, class Period>
  [[nodiscard]] bool try_lock_for(const std::chrono::duration<Rep, Period>& duration)
      UNDERTHREAD_TRY_ACQUIRE(true) UNDERTHREAD_NOT_ANALYSED {
    return acquire_fast(Hold::scoped) || seen_if(lock_until(deadline_after(duration)));
  }

  template <class Clock, class Duration>
  [[nodiscard]] bool try_lock_until(const std::chrono::time_point<Clock, Duration>& when)
      UNDERTHREAD_TRY_ACQUIRE(true) UNDERTHREAD_NOT_ANALYSED {
    return acquire_fast(Hold::scoped) || attempt_until(when, [this](std::int64_t deadline) {
             return seen_if(lock_until(deadline));
           });
  }

  // For bindings and other locks, which say how to hold and what may cut the wait short.

  /// `acquire(true, timeout)` as a scoped hold: With's.
  [[nodiscard]] bool acquire_scoped(Timeout timeout) {
    lot::ThreadHead* me = lot::this_thread;
    if (me && me->is_left_alone() && timeout.is_valid() &&
        take(me->holder | static_cast<std::uint32_t>(Hold::scoped)))
      return true;
    return seen_if(acquire_with_interrupts(Hold::scoped, true, timeout));
  }

  /// Takes the lock if that needs no wait.
  bool try_acquire(Hold hold) {
    // A failing compare-and-swap takes the holder's cache line away, so it is looked at first.
    // relaxed: one that fails says nothing of what was done under the lock.
    if (locked()) return false;
    return acquire_fast(hold) || seen_if(try_acquire_slow(hold));
  }

  /// Takes the lock or waits for it as `wait` says. Delivers no interrupt: `interrupted` means that
  /// the caller should, and then call again with the same `wait`.
  lot::WaitEnd acquire_waiting(Hold hold, lot::Wait& wait);

  /// The same for an RLock whose lock this is: whoever looks on is told so.
  lot::WaitEnd acquire_waiting_as_rlock(lot::Wait& wait);

  /// Unlocks, whoever holds it. `expected` is the kind of hold that the caller most likely ends; a
  /// wrong guess costs time, nothing else.
  /// @throws error "release unlocked lock"
  void give_up(Hold expected) {
    if (release_fast(expected)) return;
    happens_before(&word_);
    release_slow();
  }

  /// Takes the lock if one compare-and-swap does it: it is unlocked, nobody waits, and the calling
  /// thread has a record. False says only that the others here have to do it.
  bool acquire_fast(Hold hold) noexcept {
    lot::ThreadHead* me = lot::this_thread;
    return me && take(me->holder | static_cast<std::uint32_t>(hold));
  }

  /// Unlocks if one compare-and-swap does it: the calling thread holds it as `expected`, and nobody
  /// waits. False says only that `give_up` has to do it.
  bool release_fast(Hold expected) noexcept {
    lot::ThreadHead* me = lot::this_thread;
    // A thread without a record holds nothing: `scoped` alone is what no lock's word ever is.
    std::uint32_t mine = me ? me->holder | static_cast<std::uint32_t>(expected) : scoped;
    // release: what was done under the lock is seen by whoever takes it next (their acquire).
    // One compare-and-swap and no load before it: a load costs a third of the uncontended pair.
    return word_.compare_exchange_strong(mine, 0, std::memory_order_release,
                                         std::memory_order_relaxed);
  }

  /// True when the calling thread acquired it and nobody has released it since.
  bool is_mine() const noexcept {
    const lot::ThreadHead* me = lot::this_thread;
    // relaxed: only this thread writes this thread's name, or hands it on by releasing.
    return me && holder_of(word_.load(std::memory_order_relaxed)) == me->holder;
  }

  /// Unlocks without waking anyone. Only for the child of a fork, whose lock was held by a thread
  /// that does not exist there (Python: `_at_fork_reinit`).
  void at_fork_reinit() noexcept { word_.store(0, std::memory_order_relaxed); }

 private:
  static constexpr std::uint32_t parked = 1;
  static constexpr std::uint32_t scoped = static_cast<std::uint32_t>(Hold::scoped);
  static constexpr std::uint32_t holder_of(std::uint32_t word) { return word & ~(parked | scoped); }

  bool take(std::uint32_t mine) noexcept {
    std::uint32_t unlocked = 0;
    // acquire: see what was done under the lock before its release.
    return word_.compare_exchange_strong(unlocked, mine, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }

  /// What the library has done, which ThreadSanitizer does not see.
  bool seen_if(bool taken) const noexcept {
    if (taken) happens_after(&word_);
    return taken;
  }

  bool try_acquire_slow(Hold hold);
  bool acquire_with_interrupts(Hold hold, bool blocking, Timeout timeout);
  bool lock_until(std::int64_t deadline);
  lot::WaitEnd acquire_as(const lot::WaitKind& kind, Hold hold, lot::Wait& wait);
  void release_slow();

  std::atomic<std::uint32_t> word_{0};
};

static_assert(sizeof(Lock) == 4);

using LockType = Lock;

/// A new lock, unlocked (document: `_thread.allocate_lock`).
inline Lock allocate_lock() {
  return Lock();
}

}  // namespace underthread
