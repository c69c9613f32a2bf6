#include <underthread/interrupt.h>
#include <underthread/lock.h>
#include <underthread/sleep.h>
#include <underthread/thread.h>
#include <underthread/time_limit.h>

#include <atomic>
#include <chrono>
#include <exception>

#include "lot/thread_record.h"
#include "rows/in_place.h"
#include "rows/table.h"

namespace explore {
namespace {

using underthread::Lock;
namespace lot = underthread::lot;

struct Stop {};

// Interrupts are sent to thread 0. None is lost and none comes twice: taken and still to be taken
// are as many as were sent.
struct Interrupted : Row {
  Lock lock;
  Inside inside;
  int sent[4] = {};
  int taken = 0;

  Interrupted() { name(&lock, "lock"); }

  void send(int number) {
    if (underthread::interrupt(ident_of_thread(0), std::make_exception_ptr(Stop()))) ++sent[number];
  }
  /// In thread 0. True if an interrupt ended it.
  template <class F>
  bool interruptible(F body) {
    try {
      body();
      return false;
    } catch (const Stop&) {
      ++taken;
      return true;
    }
  }
  void at_end() override {
    int all = 0;
    for (const int some : sent) all += some;
    int left = static_cast<int>(record_of_thread(0).mailbox.count());
    require(all == taken + left, "an interrupt was lost, or taken twice");
    require(left == 0 || record_of_thread(0).pending.load(std::memory_order_relaxed) != 0,
            "an interrupt waits that nobody will look for");
    while (left-- > 0)
      require(interruptible([] { underthread::check_interrupts(); }), "not delivered");
    require(!lock.locked(), "the lock is left locked, or was lost");
  }
};

// Only the interrupt can end it.
struct Waiter : Interrupted {
  Waiter() { lock.acquire(); }
  void thread(int number) override {
    if (number == 1) return send(1);
    require(interruptible([this] { lock.acquire(); }), "acquired what nobody released");
    lock.release();
  }
};

// The same by two, and it waits twice.
struct WaiterTwice : Interrupted {
  WaiterTwice() { lock.acquire(); }
  void thread(int number) override {
    if (number != 0) return send(number);
    for (int i = 0; i < 2; ++i)
      require(interruptible([this] { lock.acquire(); }), "acquired what nobody released");
    lock.release();
  }
};

// It runs, and takes a lock that is free: an exception never leaves acquire with the lock taken.
struct Running : Interrupted {
  void thread(int number) override {
    if (number == 1) return send(1);
    for (int i = 0; i < 2; ++i) {
      if (interruptible([this] { lock.acquire(); }))
        require(!lock.is_mine(), "interrupted, and holds the lock");
      else
        lock.release();
    }
  }
};

// It is due already: acquire delivers it before it takes a lock, though that is free.
struct Due : Interrupted {
  void thread(int) override {
    send(0);
    require(interruptible([this] { lock.acquire(); }), "acquire was no safe point");
  }
};

struct TimesOut : Interrupted {
  TimesOut() { lock.acquire(); }
  void thread(int number) override {
    if (number == 1) return send(1);
    interruptible([this] { require(!lock.acquire(true, 0.01), "acquired what nobody released"); });
    lock.release();
  }
};

// Another releases, and may hand it the lock just as the interrupt comes.
struct HandedOver : Interrupted {
  void thread(int number) override {
    if (number == 1) return send(1);
    if (number == 2) {
      lock.lock();
      step();
      return lock.unlock();
    }
    if (interruptible([this] { lock.acquire(); }))
      require(!lock.is_mine(), "interrupted, and holds the lock");
    else
      lock.release();
  }
};

// The same, and its time may be up at that very moment: one of the three ends the wait, and the
// lock is the waiter's or free. Whatever comes after that is still there, or gone with the limit.
struct LimitedHandOver : HandedOver {
  void thread(int number) override {
    if (number != 0) return HandedOver::thread(number);
    bool is_over = false;
    const bool is_interrupted = interruptible([&] {
      const underthread::TimeLimit limit(0.01);
      try {
        lock.acquire();
      } catch (const underthread::TimeoutError&) {
        is_over = true;
        require(limit.expired(), "over before its time");
      }
    });
    if (!is_interrupted && !is_over) lock.release();
    require(!lock.is_mine(), "thrown at, and holds the lock");
  }
};

// Nobody releases, and nobody interrupts: the limit ends the wait.
struct Limited : Interrupted {
  Limited() { lock.acquire(); }
  void thread(int) override {
    const underthread::TimeLimit limit(0.01);
    bool is_over = false;
    try {
      lock.acquire();
    } catch (const underthread::TimeoutError&) {
      is_over = true;
    }
    require(is_over && limit.expired(), "a limit that is over did not end the wait");
    underthread::check_interrupts();  // it has been told
    lock.release();
  }
};

// Two wait; the first is woken, and interrupted before it has the lock. Its wake-up was the only
// one: whatever becomes of it, the other must not sleep on.
struct Woken : Interrupted {
  Woken() { lock.acquire(); }
  void thread(int number) override {
    if (number == 2) {
      lock.release();
      return send(2);
    }
    if (number == 0 && interruptible([this] { lock.acquire(); })) return;
    if (number == 1) lock.acquire();
    inside.visit();
    lock.release();
  }
};

// While it holds interrupts off, none is thrown; after that, at the next safe point.
struct HeldOff : Interrupted {
  HeldOff() { lock.acquire(); }
  void thread(int number) override {
    if (number == 1) return send(1);
    if (number == 2) return lock.release();
    bool thrown = false;
    {
      const underthread::HoldInterrupts hold;
      {
        const underthread::HoldInterrupts nested;
        thrown = interruptible([this] { lock.acquire(); });
      }
      thrown |= interruptible([] { underthread::check_interrupts(); });
      lock.release();
    }
    require(!thrown, "interrupted while interrupts were held off");
    interruptible([] { underthread::check_interrupts(); });
  }
};

// A safe point in a destructor, while an exception unwinds the stack: a second one would end the
// process. The interrupt stays for the next.
struct Unwinding : Interrupted {
  struct Tidies {
    Lock& lock;
    ~Tidies() {
      lock.acquire();
      lock.release();
    }
  };
  void thread(int number) override {
    if (number == 1) return send(1);
    try {
      const Tidies tidies{lock};
      throw 1;
    } catch (int) {
    }
    interruptible([] { underthread::check_interrupts(); });
  }
};

// lock() is no safe point: an interrupt neither ends it nor is lost.
struct NoSafePoint : Interrupted {
  NoSafePoint() { lock.acquire(); }
  void thread(int number) override {
    if (number == 1) return send(1);
    if (number == 2) return lock.release();
    require(!interruptible([this] { lock.lock(); }), "interrupted where that is no safe point");
    lock.unlock();
  }
};

struct Sleeper : Interrupted {
  void thread(int number) override {
    if (number == 1) return send(1);
    interruptible([] { underthread::sleep_for(std::chrono::milliseconds(10)); });
  }
};

// A sleep so long that only the interrupt can be its end.
struct LongSleeper : Interrupted {
  void thread(int number) override {
    if (number == 1) return send(1);
    require(interruptible([] { underthread::sleep_for(std::chrono::hours::max()); }),
            "slept it all");
  }
};

struct Joiner : Interrupted {
  Lock held;
  void thread(int number) override {
    if (number == 1) return send(1);
    held.lock();
    underthread::Thread thread([this] {
      held.lock();
      held.unlock();
    });
    require(interruptible([&] { thread.join(); }), "joined one that had not ended");
    held.unlock();
  }
};

// Sent in order, delivered in order.
struct InOrder : Interrupted {
  struct Numbered {
    int number;
  };
  int next = 1;
  void send_number(int number) {
    require(underthread::interrupt(ident_of_thread(0), std::make_exception_ptr(Numbered{number})),
            "not sent to a thread that lives");
  }
  void thread(int number) override {
    if (number == 1) {
      send_number(1);
      send_number(2);
      return;
    }
    while (next < 3) {
      try {
        underthread::sleep_for(std::chrono::hours::max());
      } catch (const Numbered& one) {
        require(one.number == next, "delivered out of order");
        ++next;
      }
    }
  }
};

// What `lot::interrupt` promises whoever builds on it: what was written before it is seen by
// whoever takes `pending`, though the thread makes notes to itself there; or it finds it pending
// again.
struct Promise : Row {
  std::atomic<int> written{0};
  bool seen = false;
  Promise() { name(&written, "written"); }
  void thread(int number) override {
    lot::ThreadRecord& receiver = record_of_thread(0);
    if (number == 1) {
      written.store(1, std::memory_order_relaxed);
      lot::interrupt(receiver);
      return;
    }
    if (any_of(2) == 1) lot::look_again(receiver);
    if (lot::take_pending(receiver)) seen = written.load(std::memory_order_relaxed) == 1;
  }
  void at_end() override {
    require(seen || lot::take_pending(record_of_thread(0)),
            "an interrupt was taken, and its reason missed");
  }
};

constexpr RowInfo rows[] = {
    {.name = "interrupt-waiter",
     .what = "one waits for a lock, one interrupts it",
     .threads = 2,
     .make = make<Waiter>,
     .may = {.time_outs = 0, .jumps = 0}},
    {.name = "interrupt-waiter-twice",
     .what = "one waits twice, two interrupt it",
     .threads = 3,
     .make = make<WaiterTwice>,
     .may = {.time_outs = 0, .jumps = 0}},
    {.name = "interrupt-running",
     .what = "one takes a free lock, one interrupts it",
     .threads = 2,
     .make = make<Running>,
     .may = {.time_outs = 0, .jumps = 0}},
    {.name = "interrupt-due",
     .what = "one interrupts itself and takes a free lock",
     .threads = 1,
     .make = make<Due>,
     .may = {.time_outs = 0, .jumps = 0}},
    {.name = "interrupt-times-out",
     .what = "one waits for 10 ms, one interrupts it",
     .threads = 2,
     .make = make<TimesOut>,
     .time_outs_are_needed = true},
    {.name = "interrupt-handed-over",
     .what = "one waits, one releases, one interrupts",
     .threads = 3,
     .make = make<HandedOver>,
     .may = {.time_outs = 0, .jumps = 1}},
    {.name = "interrupt-woken",
     .what = "two wait, one releases and interrupts the first",
     .threads = 3,
     .make = make<Woken>,
     .may = {.time_outs = 0, .jumps = 1}},
    {.name = "interrupt-held-off",
     .what = "the same, with interrupts held off",
     .threads = 3,
     .make = make<HeldOff>,
     .may = {.time_outs = 0, .jumps = 1}},
    {.name = "interrupt-no-safe-point",
     .what = "the same, where that is no safe point",
     .threads = 3,
     .make = make<NoSafePoint>,
     .may = {.time_outs = 0, .jumps = 1}},
    {.name = "interrupt-unwinding",
     .what = "one takes a lock while its stack is unwound, one interrupts it",
     .threads = 2,
     .make = make<Unwinding>,
     .may = {.time_outs = 0, .jumps = 0}},
    {.name = "interrupt-sleep",
     .what = "one sleeps for 10 ms, one interrupts it",
     .threads = 2,
     .make = make<Sleeper>,
     .may = {.time_outs = 1, .jumps = 0},
     .time_outs_are_needed = true},
    {.name = "interrupt-long-sleep",
     .what = "one sleeps for ever, one interrupts it",
     .threads = 2,
     .make = make<LongSleeper>,
     .may = {.time_outs = 0, .jumps = 0}},
    {.name = "interrupt-join",
     .what = "one joins, one interrupts it",
     .threads = 2,
     .make = make<Joiner>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true},
    {.name = "interrupt-in-order",
     .what = "two interrupts from one thread",
     .threads = 2,
     .make = make<InOrder>,
     .may = {.time_outs = 0, .jumps = 0}},
    {.name = "interrupt-promise",
     .what = "what one wrote before it interrupted is there for the other",
     .threads = 2,
     .make = make<Promise>,
     .may = {.time_outs = 0, .jumps = 0}},
    {.name = "limit-hand-off",
     .what = "an interrupt, a hand-off and the end of a limit, at once",
     .threads = 3,
     .make = make<LimitedHandOver>},
    {.name = "limit-over",
     .what = "a limit of 10 ms around a wait for a lock",
     .threads = 1,
     .make = make<Limited>,
     .time_outs_are_needed = true},
};

}  // namespace

const std::span<const RowInfo> interrupt_rows = rows;

}  // namespace explore
