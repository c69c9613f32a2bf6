#include <underthread/interrupt.h>
#include <underthread/lock.h>
#include <underthread/signals.h>
#include <underthread/sleep.h>
#include <underthread/thread.h>

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
    int left = 0;
    for (const lot::Letter* letter = record_of_thread(0).letters; letter; letter = letter->next)
      ++left;
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

// --- Signals: their handlers run in thread 0, which is the main thread.

struct Signalled : Row {
  static inline int calls[3];
  static inline Lock* waited_for;
  Lock lock;
  Signalled() {
    calls[1] = calls[2] = 0;
    waited_for = &lock;
    name(&lock, "lock");
  }
  static void count(int signum) { ++calls[signum - 9]; }
  static void release(int signum) {
    count(signum);
    waited_for->release();
  }
  static void handle(int signum, void (*handler)(int)) { underthread::signal(signum, handler); }
};

// Its handler releases what the main thread waits for.
struct HandlerReleases : Signalled {
  HandlerReleases() {
    handle(10, release);
    lock.acquire();
  }
  void thread(int number) override {
    if (number == 1) return underthread::interrupt_main(10);
    lock.acquire();
    require(calls[1] == 1, "the handler did not run once");
    lock.release();
  }
};

// Two signals from two threads; the handler of each runs, though the first waits for the second.
struct TwoSignals : Signalled {
  TwoSignals() {
    handle(10, [](int signum) {
      count(signum);
      waited_for->acquire();
    });
    handle(11, release);
    lock.acquire();
  }
  void thread(int number) override {
    if (number != 0) return underthread::interrupt_main(9 + number);
    while (calls[1] == 0) {
      try {
        underthread::sleep_for(std::chrono::milliseconds(10));
      } catch (...) {
        require(false, "nothing was to be thrown");
      }
    }
    while (calls[2] == 0) underthread::sleep_for(std::chrono::milliseconds(10));
  }
  void at_end() override { require(calls[1] == 1 && calls[2] == 1, "a handler did not run once"); }
};

// A handler that throws leaves the other signal due.
struct HandlerThrows : Signalled {
  int thrown = 0;
  HandlerThrows() {
    handle(10, [](int signum) {
      count(signum);
      throw Stop();
    });
    handle(11, count);
    lock.acquire();
  }
  void thread(int number) override {
    if (number == 1) {
      underthread::interrupt_main(10);
      underthread::interrupt_main(11);
      return;
    }
    try {
      lock.acquire();
      require(false, "acquired what nobody released");
    } catch (const Stop&) {
      ++thrown;
    }
  }
  void at_end() override {
    underthread::check_interrupts();
    require(thrown == 1 && calls[1] == 1, "the handler that throws did not run once");
    require(calls[2] == 1, "the other signal was forgotten");
  }
};

// A real signal, at any moment, in any thread: it only notes, and the handler runs in the main
// thread. In the meantime the lock goes from one to the other.
struct RealSignal : Signalled {
  int arrived = 0;
  RealSignal() { handle(10, count); }
  void on_signal(int) override {
    ++arrived;
    underthread::interrupt_main(10);
  }
  void thread(int) override {
    lock.acquire();
    step();
    lock.release();
  }
  void at_end() override {
    underthread::check_interrupts();
    require(calls[1] == arrived, "the handler did not run as often as the signal came");
    require(!lock.locked(), "the lock is left locked, or was lost");
  }
};

// One signal after the other, each seen or merged with one that is still due.
struct Repeated : Signalled {
  Repeated() { handle(10, count); }
  void thread(int number) override {
    if (number == 1) {
      underthread::interrupt_main(10);
      underthread::interrupt_main(10);
      return;
    }
    underthread::check_interrupts();
    underthread::check_interrupts();
  }
  void at_end() override {
    underthread::check_interrupts();
    require(calls[1] == 1 || calls[1] == 2, "the handler ran too often, or never");
  }
};

// Handlers are set by the main thread while another looks.
struct HandlerChanges : Signalled {
  HandlerChanges() { handle(10, count); }
  void thread(int number) override {
    if (number == 0) {
      handle(10, release);
      handle(10, count);
      return;
    }
    const underthread::Handler found = underthread::getsignal(10);
    require(found == underthread::Handler(count) || found == underthread::Handler(release),
            "a handler that never was");
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
    {.name = "signal-handler-releases",
     .what = "interrupt_main while main waits; the handler releases",
     .threads = 2,
     .make = make<HandlerReleases>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .needs_main = true},
    {.name = "signal-two",
     .what = "the handler of one signal waits for the other",
     .threads = 3,
     .make = make<TwoSignals>,
     .may = {.time_outs = 1, .jumps = 0},
     .time_outs_are_needed = true,
     .changes_process = true,
     .bound = 2,
     .needs_main = true},
    {.name = "signal-handler-throws",
     .what = "two signals; the first one's handler throws",
     .threads = 2,
     .make = make<HandlerThrows>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .needs_main = true},
    {.name = "signal-real",
     .what = "two take a lock; a signal comes, in any thread",
     .threads = 2,
     .make = make<RealSignal>,
     .may = {.jumps = 0, .signals = 1},
     .changes_process = true,
     .needs_main = true},
    {.name = "signal-repeated",
     .what = "the same signal twice, and two looks",
     .threads = 2,
     .make = make<Repeated>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .needs_main = true},
    {.name = "signal-handler-changes",
     .what = "a handler is set while another thread looks",
     .threads = 2,
     .make = make<HandlerChanges>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .needs_main = true},
};

}  // namespace

const std::span<const RowInfo> interrupt_rows = rows;

}  // namespace explore
