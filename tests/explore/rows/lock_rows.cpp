#include <underthread/errors.h>
#include <underthread/lock.h>

#include <chrono>

#include "lot/parking_lot.h"
#include "os/futex.h"
#include "rows/in_place.h"
#include "rows/table.h"

namespace explore {
namespace {

using underthread::Hold;
using underthread::Lock;
namespace lot = underthread::lot;
namespace os = underthread::os;

struct OneLock : Row {
  Lock lock;
  Inside inside;

  OneLock() { name(&lock, "lock"); }

  /// The calling thread holds it.
  void visit() {
    require(lock.is_mine() && lock.locked(), "the holder is not the owner");
    inside.visit();
  }
  void take() {
    lock.acquire();
    visit();
    lock.release();
  }
  void require_free() { require(!lock.locked(), "the lock is left locked, or was lost"); }
};

template <int times>
struct Acquire : OneLock {
  void thread(int) override {
    for (int i = 0; i < times; ++i) take();
  }
  void at_end() override { require_free(); }
};

// Nobody does anything about a signal but return, and the wait goes on: acquire()'s, and lock()'s.
struct DisturbedAcquire : OneLock {
  void thread(int number) override {
    if (number == 0)
      lock.acquire();
    else
      lock.lock();
    visit();
    lock.release();
  }
  void at_end() override { require_free(); }
};

// A host's locks: a wait that any signal ends, and that then goes on.
struct HostedAcquire : OneLock {
  void thread(int) override {
    lot::Wait wait{.wake_for = lot::WakeFor::interrupts_and_signals};
    while (lock.acquire_waiting(Hold::scoped, wait) == lot::WaitEnd::interrupted) {
    }
    visit();
    lock.unlock();
  }
  void at_end() override { require_free(); }
};

// The same, for a lock that nobody releases: a signal that ends the sleep ends the wait.
struct HostedWait : OneLock {
  HostedWait() { lock.acquire(); }
  int ended[2] = {0, 0};
  void on_signal(int number) override { ended[number] += ended_a_sleep(); }
  void thread(int number) override {
    lot::Wait wait{.until = os::now() + 10'000'000,
                   .wake_for = lot::WakeFor::interrupts_and_signals};
    const lot::WaitEnd end = lock.acquire_waiting(Hold::scoped, wait);
    require(ended[number] == 0 || end == lot::WaitEnd::interrupted,
            "a signal did not end the wait");
  }
  void at_end() override { lock.release(); }
};

// One way of holding it each, and either way of ending a hold.
struct ScopedAndBare : OneLock {
  void thread(int number) override {
    if (number == 0)
      lock.lock();
    else
      lock.acquire();
    visit();
    if (any_of(2) == 0)
      lock.unlock();
    else
      lock.release();
  }
  void at_end() override { require_free(); }
};

struct Try : OneLock {
  void thread(int number) override {
    if (number != 0) return take();
    if (!lock.try_lock()) return;
    visit();
    lock.unlock();
  }
  void at_end() override { require_free(); }
};

// The other takes it and keeps it, perhaps just after the one that tries has found it free.
struct TryOfKept : OneLock {
  void thread(int number) override {
    if (number != 0) return lock.lock();
    if (!lock.try_lock()) return;
    visit();
    lock.unlock();
  }
  void at_end() override {
    lock.release();
    require_free();
  }
};

constexpr double soon = 0.01;

// The last of them waits for 10 ms at most; the others end their holds long before.
template <int threads>
struct Timed : OneLock {
  void thread(int number) override {
    if (number + 1 < threads) return take();
    if (!lock.acquire(true, soon)) {
      require(!lock.is_mine(), "timed out with the lock");
      return;
    }
    visit();
    lock.release();
  }
  void at_end() override { require_free(); }
};

// Held from the start. Two wait, and a third between them in the queue, who may leave it.
struct TimedBetween : OneLock {
  TimedBetween() { lock.acquire(); }
  void thread(int number) override {
    if (number == 0) return lock.release();
    if (!lock.acquire(true, number == 2 ? soon : -1)) return;
    visit();
    lock.release();
  }
  void at_end() override { require_free(); }
};

// Held from the start. One that waits is chosen as its time is up, and a signal comes before its
// wake-up.
struct TimedSignals : OneLock {
  TimedSignals() { lock.acquire(); }
  void thread(int number) override {
    if (number == 0) return lock.release();
    if (!(number == 1 ? lock.acquire(true, soon) : lock.try_lock())) return;
    visit();
    lock.release();
  }
  void at_end() override { require_free(); }
};

// Nobody releases it while they wait.
struct TimedOut : OneLock {
  TimedOut() { lock.acquire(); }
  void thread(int number) override {
    const std::int64_t begin = os::now();
    const bool acquired =
        number == 0 ? lock.acquire(true, soon) : lock.try_lock_for(std::chrono::milliseconds(10));
    require(!acquired, "acquired what is held for ever");
    require(os::now() - begin >= 10'000'000, "timed out before its time");
  }
  void at_end() override {
    require(lock.locked(), "the lock was lost");
    lock.release();
    require_free();
  }
};

// Two locks beside each other in memory, a waiter each: they are not mistaken for each other.
struct Neighbours : Row {
  Lock locks[2];
  Neighbours() {
    for (Lock& lock : locks) lock.acquire();
    name(&locks[0], "first lock");
    name(&locks[1], "second lock");
  }
  void thread(int number) override {
    if (number == 2) {
      for (Lock& lock : locks) lock.release();
      return;
    }
    locks[number].acquire();
    require(locks[number].is_mine(), "the holder is not the owner");
    locks[number].release();
  }
  void at_end() override {
    require(!locks[0].locked() && !locks[1].locked(), "a lock is left locked, or was lost");
  }
};

// Held from the start; one waits, another thread releases. What it did before is seen.
struct ReleaseByAnother : OneLock {
  int written = 0;
  ReleaseByAnother() { lock.acquire(); }
  void thread(int number) override {
    if (number == 0) {
      lock.acquire();
      require(written == 1, "what was done before the release is not seen");
      visit();
      lock.release();
    } else {
      written = 1;
      lock.release();
    }
  }
  void at_end() override { require_free(); }
};

struct Releasers : OneLock {
  int acquired[3] = {0, 0, 0};
  int released[3] = {0, 0, 0};
  void release(int number) {
    try {
      lock.release();
      ++released[number];
    } catch (const underthread::error&) {
    }
  }
  void at_end() override {
    const int held =
        acquired[0] + acquired[1] + acquired[2] - released[0] - released[1] - released[2];
    require(held == 0 || held == 1, "a release released nothing, or two released one hold");
    require(lock.locked() == (held == 1), "the lock does not say how it is held");
    if (held) lock.release();
    require_free();
  }
};

// Held once, released twice: one of them must be refused, or end the waiter's hold.
struct TwoReleasers : Releasers {
  TwoReleasers() {
    lock.acquire();
    acquired[0] = 1;
  }
  void thread(int number) override {
    if (number == 0) {
      lock.acquire();
      ++acquired[0];
    } else {
      release(number);
    }
  }
};

// A release of a lock that may be unlocked: refused, and nothing has changed; or it ends the hold.
struct ReleaseUnlocked : Releasers {
  void thread(int number) override {
    if (number == 0) return release(0);
    lock.acquire();
    ++acquired[number];
    release(number);
  }
};

// Held from the start, released once. Who has waited for a millisecond is not overtaken.
struct FirstInFirstOut : OneLock {
  std::int64_t oldest = 0;  // since when whoever must come next has waited; 0: anyone may
  FirstInFirstOut() { lock.acquire(); }
  void thread(int number) override {
    if (number == 0) {
      const std::int64_t now = os::now();
      for (int i = 1; i < 3; ++i) {
        lot::WaitEdge edge;
        // Only this thread takes anyone out of the queue.
        if (!lot::look_at_waiter(record_of_thread(i), &lock, edge)) continue;
        const std::int64_t since = edge.since;
        if (now - since >= 1'000'000 && (oldest == 0 || since < oldest)) oldest = since;
      }
      lock.release();
      return;
    }
    lock.acquire();
    if (oldest != 0) {
      const std::int64_t mine = record_of_thread(number).waiter.since;
      require(mine != 0 && mine <= oldest, "overtook one that had waited for a millisecond");
      oldest = 0;
    }
    visit();
    lock.release();
  }
  void at_end() override { require_free(); }
};

// However long all have waited, the lock is not only handed on: between two hand-offs there are 200
// microseconds in which whoever comes first takes it.
struct HandOffsApart : OneLock {
  std::int64_t releasing = 0;     // when the last release began
  std::int64_t handed_after = 0;  // the last hand-off was not before; 0: there was none
  HandOffsApart() { lock.acquire(); }
  void thread(int number) override {
    if (number != 0) {
      lock.acquire();
      if (record_of_thread(number).waiter.handed_over) {
        require(handed_after == 0 || os::now() - handed_after >= 200'000, "handed on at once");
        handed_after = releasing;
      }
    }
    releasing = os::now();
    lock.release();
  }
  void at_end() override { require_free(); }
};

// One who was woken and lost the lock to another waits again where it was.
struct KeepsItsPlace : OneLock {
  WaitOrder order;
  KeepsItsPlace() { lock.acquire(); }
  void thread(int number) override {
    if (number != 0) lock.acquire();
    // The first look says who waits; the other is by one that may have overtaken.
    if (number == 0 || number == 3) order.require_kept(lock, 4);
    lock.release();
  }
  void at_end() override { require_free(); }
};

constexpr RowInfo rows[] = {
    {.name = "lock-2", .what = "two threads take the lock", .threads = 2, .make = make<Acquire<1>>},
    {.name = "lock-2x2",
     .what = "two threads take the lock, twice",
     .threads = 2,
     .make = make<Acquire<2>>},
    {.name = "lock-3",
     .what = "three threads take the lock",
     .threads = 3,
     .make = make<Acquire<1>>},
    {.name = "lock-4",
     .what = "four threads take the lock",
     .threads = 4,
     .make = make<Acquire<1>>,
     .may = {.jumps = 0},
     .bound = 2},
    {.name = "lock-spurious",
     .what = "two threads take the lock; sleeps end for no reason",
     .threads = 2,
     .make = make<DisturbedAcquire>,
     .may = {.spurious = 2}},
    {.name = "lock-signals",
     .what = "two threads take the lock; signals come",
     .threads = 2,
     .make = make<DisturbedAcquire>,
     .may = {.jumps = 0, .signals = 1}},
    {.name = "lock-hosted",
     .what = "two threads take the lock, in waits that signals end",
     .threads = 2,
     .make = make<HostedAcquire>,
     .may = {.signals = 1}},
    {.name = "lock-hosted-wait",
     .what = "a wait that signals end, for what is never released",
     .threads = 1,
     .make = make<HostedWait>,
     .may = {.time_outs = 2, .jumps = 0, .signals = 1},
     .time_outs_are_needed = true},
    {.name = "lock-timed-signals",
     .what = "one waits for 10 ms at most, one tries, one releases; a signal comes",
     .threads = 3,
     .make = make<TimedSignals>,
     .may = {.jumps = 0, .signals = 1}},
    {.name = "lock-scoped-and-bare",
     .what = "both kinds of hold, ended either way",
     .threads = 2,
     .make = make<ScopedAndBare>},
    {.name = "lock-try",
     .what = "one tries, another takes the lock",
     .threads = 2,
     .make = make<Try>},
    {.name = "lock-try-3", .what = "one tries, two take the lock", .threads = 3, .make = make<Try>},
    {.name = "lock-try-kept",
     .what = "one tries, another takes the lock and keeps it",
     .threads = 2,
     .make = make<TryOfKept>},
    {.name = "lock-timed",
     .what = "one waits for 10 ms at most, another takes the lock",
     .threads = 2,
     .make = make<Timed<2>>},
    {.name = "lock-timed-3",
     .what = "one waits for 10 ms at most, two take the lock",
     .threads = 3,
     .make = make<Timed<3>>},
    {.name = "lock-timed-between",
     .what = "three wait, one of them for 10 ms at most; one releases",
     .threads = 4,
     .make = make<TimedBetween>,
     .may = {.jumps = 0},
     .bound = 2},
    {.name = "lock-timed-out",
     .what = "two wait for 10 ms for what is never released",
     .threads = 2,
     .make = make<TimedOut>,
     .may = {.time_outs = 2},
     .time_outs_are_needed = true},
    {.name = "lock-timed-out-4",
     .what = "four wait for 10 ms for what is never released",
     .threads = 4,
     .make = make<TimedOut>,
     .may = {.time_outs = 0, .jumps = 0},
     .time_outs_are_needed = true,
     .bound = 2,
     .stale_bound = 1},
    {.name = "lock-neighbours",
     .what = "two locks side by side, a waiter each",
     .threads = 3,
     .make = make<Neighbours>,
     .may = {.time_outs = 0, .jumps = 1}},
    {.name = "lock-released-by-another",
     .what = "one waits, another releases",
     .threads = 2,
     .make = make<ReleaseByAnother>},
    {.name = "lock-two-releasers",
     .what = "one waits, two release",
     .threads = 3,
     .make = make<TwoReleasers>},
    {.name = "lock-release-unlocked",
     .what = "a release that may come too late",
     .threads = 2,
     .make = make<ReleaseUnlocked>},
    {.name = "lock-first-in-first-out",
     .what = "two wait; one releases, after a millisecond or before",
     .threads = 3,
     .make = make<FirstInFirstOut>,
     .may = {.time_outs = 0, .jumps = 1}},
    {.name = "lock-hand-offs-apart",
     .what = "two have waited for a millisecond, and a third",
     .threads = 4,
     .make = make<HandOffsApart>,
     .may = {.time_outs = 0, .jumps = 1},
     .bound = 2,
     .stale_bound = 1},
    {.name = "lock-keeps-its-place",
     .what = "woken, overtaken, and waiting again",
     .threads = 4,
     .make = make<KeepsItsPlace>,
     .may = {.time_outs = 0, .jumps = 1},
     .bound = 2,
     .stale_bound = 1},
};

}  // namespace

const std::span<const RowInfo> lock_rows = rows;

}  // namespace explore
