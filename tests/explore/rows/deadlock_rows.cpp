#include <underthread/lock.h>
#include <underthread/thread.h>

#include <array>

#include "lot/parking_lot.h"
#include "os/futex.h"
#include "rows/in_place.h"
#include "rows/table.h"

namespace explore {
namespace {

using underthread::Hold;
using underthread::Lock;
using underthread::Thread;
namespace lot = underthread::lot;
namespace os = underthread::os;

// Some locks that are taken in an order, and who was told of a deadlock.
template <int locks>
struct Orders : Row {
  std::array<Lock, locks> lock;
  std::array<int, 3> told{};

  Orders() {
    constexpr std::array names{"a", "b", "c"};
    for (std::size_t i = 0; i < lock.size(); ++i) name(&lock[i], names[i]);
  }

  /// Takes it as a scoped hold; or is told, which it gives up for: false.
  bool take(int number, std::size_t which, std::int64_t until = lot::never) {
    lot::Wait wait{.until = until, .tells_deadlock = true};
    for (;;) {
      switch (lock[which].acquire_waiting(Hold::scoped, wait)) {
        case lot::WaitEnd::done:
          return true;
        case lot::WaitEnd::deadlock:
          ++told[static_cast<std::size_t>(number)];
          require_real(number);
          if (may_give_up()) return false;
          break;
        default:
          return false;
      }
    }
  }
  /// Takes one, then the other, then lets both go.
  void take_both(int number, std::size_t first, std::size_t second) {
    if (!take(number, first)) return;
    if (take(number, second)) lock[second].unlock();
    lock[first].unlock();
  }

  /// Nobody acts between the last look and this: it is there still.
  virtual void require_real(int number) {
    const lot::Path path =
        lot::follow(lot::last_wait(record_of_thread(number)), [](const lot::WaitEdge&) {});
    require(path.end == lot::PathEnd::cycle, "told of what is no deadlock");
    require(path.deadlock == lot::Deadlock::certain, "what is certain is not told as that");
  }
  virtual bool may_give_up() { return true; }
  int times_told() const { return told[0] + told[1] + told[2]; }
  void at_end() override {
    for (const Lock& one : lock) require(!one.locked(), "a lock is left locked, or was lost");
  }
};

// However it falls: where they wait for each other one of them is told, or they would for ever.
struct TwoLocks : Orders<2> {
  void thread(int number) override { take_both(number, number == 0 ? 0 : 1, number == 0 ? 1 : 0); }
  void at_end() override {
    Orders<2>::at_end();
    require(times_told() <= 1, "told twice");
  }
};

struct ThreeLocks : Orders<3> {
  void thread(int number) override {
    const auto first = static_cast<std::size_t>(number);
    take_both(number, first, (first + 1) % 3);
  }
  void at_end() override {
    Orders<3>::at_end();
    require(times_told() <= 1, "told twice");
  }
};

// Never two at a time in two orders: however its looks fall, the walk finds none.
struct NoCycle : Orders<2> {
  void thread(int number) override {
    if (number == 0) return take_both(0, 0, 1);
    // The third, where there is one, may stand before the first.
    for (const std::size_t which : {1, 0})
      if ((number == 1 || which == 1) && take(number, which)) lock[which].unlock();
  }
  void require_real(int) override { require(false, "told of what is no deadlock"); }
};

// One of the two waits for 10 ms at most. Nothing is certain, and both go on waiting.
struct TimedCycle : Orders<2> {
  void thread(int number) override {
    if (number == 0) return take_both(0, 0, 1);
    if (!take(1, 1)) return;
    if (take(1, 0, os::now() + 10'000'000)) lock[0].unlock();
    lock[1].unlock();
  }
  void require_real(int number) override {
    const lot::Path path =
        lot::follow(lot::last_wait(record_of_thread(number)), [](const lot::WaitEdge&) {});
    require(path.end != lot::PathEnd::cycle || path.deadlock == lot::Deadlock::timed,
            "certain, though a wait of it ends");
  }
  bool may_give_up() override { return false; }
};

// One of the two locks is held by nobody's scope, and a third thread releases it, perhaps while
// the others look. Nothing is certain, and nobody is left waiting.
struct ReleasedByAThird : Orders<2> {
  ReleasedByAThird() { lock[1].acquire(); }
  void thread(int number) override {
    switch (number) {
      case 0:
        return take_both(0, 0, 1);
      case 1:
        if (take(1, 0)) lock[0].unlock();
        return;
      default:
        return lock[1].release();
    }
  }
  void require_real(int) override { require(false, "told of what is no deadlock"); }
};

// A thread that waits for what its joiner holds.
struct JoinCycle : Orders<1> {
  void thread(int) override {
    require(take(0, 0), "told while nobody waits");
    Thread thread([this] {
      const lot::ThreadRecord& me = static_cast<lot::ThreadRecord&>(*lot::this_thread);
      lot::Wait wait{.tells_deadlock = true};
      if (lock[0].acquire_waiting(Hold::scoped, wait) == lot::WaitEnd::deadlock) {
        const lot::Path path = lot::follow(lot::last_wait(me), [](const lot::WaitEdge&) {});
        require(path.end == lot::PathEnd::cycle, "told of what is no deadlock");
        ++told[1];
        return;
      }
      lock[0].unlock();
    });
    lot::Wait wait{.tells_deadlock = true};
    if (thread.join_waiting(wait) == lot::WaitEnd::deadlock) ++told[0];
    lock[0].unlock();
    thread.join();
    require(times_told() == 1, "not told, or twice");
  }
};

// One looks at the wait of another, which is just beginning or ending: what it sees was so.
struct Look : Orders<1> {
  void thread(int number) override {
    if (number != 2) {
      require(take(number, 0), "told while nobody waits for ever");
      lock[0].unlock();
      return;
    }
    for (const int other : {0, 1}) {
      const lot::ThreadRecord& seen = record_of_thread(other);
      const lot::ThreadRecord& holder = record_of_thread(1 - other);
      lot::WaitEdge edge;
      if (!lot::look_at(seen.live.load(std::memory_order_relaxed), edge)) continue;
      require(edge.key == &lock[0], "waits for something else");
      require(edge.waiter == seen.live.load(std::memory_order_relaxed), "another thread's wait");
      const std::uint32_t by = lot::thread_of(edge.blocker);
      require(by == 0 || by == holder.live.load(std::memory_order_relaxed), "a false holder");
    }
  }
  void require_real(int) override { require(false, "told of what is no deadlock"); }
};

constexpr RowInfo rows[] = {
    {.name = "deadlock-2",
     .what = "two threads take two locks in two orders",
     .threads = 2,
     .make = make<TwoLocks>,
     .may = {.time_outs = 0, .jumps = 0}},
    {.name = "deadlock-3",
     .what = "three threads take two of three locks each, in a circle",
     .threads = 3,
     .make = make<ThreeLocks>,
     .may = {.time_outs = 0, .jumps = 0},
     .stale_bound = 1},
    {.name = "deadlock-none",
     .what = "two take two locks, one of them never both at a time",
     .threads = 2,
     .make = make<NoCycle>,
     .may = {.time_outs = 0, .jumps = 0}},
    {.name = "deadlock-none-3",
     .what = "the same, and a third that takes one of them",
     .threads = 3,
     .make = make<NoCycle>,
     .may = {.time_outs = 0, .jumps = 0},
     .stale_bound = 2},
    {.name = "deadlock-timed",
     .what = "two take two locks in two orders; one waits for 10 ms at most",
     .threads = 2,
     .make = make<TimedCycle>,
     .may = {.time_outs = 1, .jumps = 0},
     .time_outs_are_needed = true},
    {.name = "deadlock-released-by-third",
     .what = "two wait for each other's locks, one of which a third releases",
     .threads = 3,
     .make = make<ReleasedByAThird>,
     .may = {.time_outs = 0, .jumps = 0}},
    {.name = "deadlock-join",
     .what = "a thread waits for a lock that its joiner holds",
     .threads = 1,
     .make = make<JoinCycle>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true},
    {.name = "wait-look",
     .what = "one looks at the waits of two others for a lock",
     .threads = 3,
     .make = make<Look>,
     .may = {.time_outs = 0, .jumps = 0}},
};

}  // namespace

const std::span<const RowInfo> deadlock_rows = rows;

}  // namespace explore
