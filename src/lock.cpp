#include <underthread/errors.h>
#include <underthread/lock.h>
#include <underthread/rlock.h>

#include <atomic>
#include <type_traits>

#include "lot/parking_lot.h"
#include "os/futex.h"
#include "safe_point.h"
#include "seen.h"
#include "wait_kinds.h"

namespace underthread {
namespace {

/// A waiter that has waited this long is handed the lock; before, whoever comes first takes it. ns.
/// The bound of CPython's own mutex: short enough to be fair, long enough that hand-offs, which
/// cost the new holder its wake-up while nobody else may enter, stay rare.
constexpr std::int64_t fair_after = 1'000'000;

/// But not so soon after another was handed it: ns. Where so many wait that each has waited for
/// that long when its turn comes, the lock would only be handed on, from wake-up to wake-up: 128
/// threads that do nothing else had 0.28 of std::mutex's throughput without this, 3.1 with it.
constexpr std::int64_t fair_again_after = 200'000;

std::uint32_t holder_of_lock(const lot::Waiter& waiter) noexcept {
  return holder_of(reinterpret_cast<const void*>(waiter.key));
}

}  // namespace

constexpr lot::WaitKind lock_wait{"lock", true, holder_of_lock};
constexpr lot::WaitKind rlock_wait{"rlock", true, holder_of_lock};
constexpr lot::WaitKind sentinel_wait{"join", false, [](const lot::Waiter& waiter) noexcept {
                                        return holder_of_lock(waiter) | lot::only_it;
                                      }};

std::uint32_t holder_of(const void* lock) noexcept {
  static_assert(std::is_standard_layout_v<Lock> && std::is_standard_layout_v<RLock>);
  // relaxed: while somebody waits, only a release that has the bucket changes it.
  return static_cast<const std::atomic<std::uint32_t>*>(lock)->load(std::memory_order_relaxed) &
         ~std::uint32_t{1};
}

lot::WaitEnd Lock::acquire_waiting(Hold hold, lot::Wait& wait) {
  return acquire_as(lock_wait, hold, wait);
}

lot::WaitEnd Lock::acquire_waiting_as_rlock(lot::Wait& wait) {
  return acquire_as(rlock_wait, Hold::scoped, wait);
}

lot::WaitEnd Lock::acquire_as(const lot::WaitKind& kind, Hold hold, lot::Wait& wait) {
  lot::ThreadRecord& me = current_thread();
  const std::uint32_t mine = me.holder | static_cast<std::uint32_t>(hold);
  const bool only_try = wait.until <= 0;
  lot::Spin spin(me.spinning, !only_try);
  for (;;) {
    // relaxed: only the compare-and-swap that takes the lock needs to see what was done under it.
    std::uint32_t word = word_.load(std::memory_order_relaxed);

    // Unlocked. After a wake-up this comes before any giving up: the wake-up was this lock's only
    // one, and whoever else waits counts on its being used.
    if (holder_of(word) == 0) {
      if (word_.compare_exchange_weak(word, mine | (word & parked), std::memory_order_acquire,
                                      std::memory_order_relaxed)) {
        spin.succeeded();
        return lot::WaitEnd::done;
      }
      continue;
    }

    if (only_try) return lot::WaitEnd::timed_out;

    if (!(word & parked)) {
      // Held, nobody asleep: it may be released any moment. With somebody asleep it is their turn.
      if (spin.once()) continue;
      // relaxed: the bit tells a releaser to look into the lot, and the lot's bucket orders the
      // rest.
      if (!word_.compare_exchange_weak(word, word | parked, std::memory_order_relaxed,
                                       std::memory_order_relaxed))
        continue;
    }

    const auto still_locked = [this] {
      // relaxed: while it is locked and the bit set, only a release under this bucket changes it.
      const std::uint32_t now = word_.load(std::memory_order_relaxed);
      return holder_of(now) != 0 && (now & parked);
    };
    spin.failed();
    switch (lot::park(me, &word_, still_locked, wait, mine, wait.kind ? *wait.kind : kind)) {
      case lot::ParkEnd::handed_over:
        // Our name was written by the releaser; what it did under the lock came with the wake.
        return lot::WaitEnd::done;
      case lot::ParkEnd::unparked:
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

void Lock::release_slow() {
  std::uint32_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    if (holder_of(word) == 0) throw error("release unlocked lock");

    // Nobody waits: another thread's hold, or one of the other kind.
    if (!(word & parked)) {
      // release: as in give_up.
      if (word_.compare_exchange_weak(word, 0, std::memory_order_release,
                                      std::memory_order_relaxed))
        return;
      continue;
    }

    bool released = false;
    lot::unpark_one(&word_, [&](const lot::Queue& queue) {
      word = word_.load(std::memory_order_relaxed);
      // Somebody else released it since we looked. Look again, outside.
      if (holder_of(word) == 0 || !(word & parked)) return lot::Choice::leave;
      released = true;
      const std::uint32_t rest = queue.more ? parked : 0;
      if (queue.first) {
        const std::int64_t now = os::now();
        if (now - queue.first->since >= fair_after &&
            now - queue.handed_over_at >= fair_again_after) {
          queue.handed_over_at = now;
          // relaxed: the new holder learns of it by its wake-up, which releases all that we did;
          // nobody else takes it before the new holder's own release.
          word_.store(queue.first->token | rest, std::memory_order_relaxed);
          return lot::Choice::hand_over;
        }
      }
      // release: whoever comes first takes it, the woken one or another.
      word_.store(rest, std::memory_order_release);
      return lot::Choice::wake;
    });
    if (released) return;
  }
}

bool Lock::acquire_with_interrupts(Hold hold, bool blocking, Timeout timeout) {
  const std::int64_t until = timeout.deadline(blocking);
  return wait_at_safe_point(until, [this, hold](lot::ThreadRecord&, lot::Wait& wait) {
    return acquire_waiting(hold, wait);
  });
}

bool Lock::lock_until(std::int64_t deadline) {
  return wait_until(deadline,
                    [this](lot::Wait& wait) { return acquire_waiting(Hold::scoped, wait); });
}

bool Lock::try_acquire_slow(Hold hold) {
  lot::Wait wait{.until = 0};
  return acquire_waiting(hold, wait) == lot::WaitEnd::done;
}

Ident Lock::owner() const noexcept {
  return lot::ident_of(holder_of(word_.load(std::memory_order_relaxed)));
}

}  // namespace underthread
