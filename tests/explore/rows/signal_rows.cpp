#include <underthread/ident.h>
#include <underthread/interrupt.h>
#include <underthread/lock.h>
#include <underthread/signals.h>
#include <underthread/sleep.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>

#include "os/futex.h"
#include "rows/in_place.h"
#include "rows/table.h"

namespace explore {
namespace {

using underthread::Lock;
namespace os = underthread::os;

struct Stop {};

// Handlers of signals run in thread 0, which is the main thread.
struct Signalled : Row {
  static inline int calls[3];
  static inline Lock* waited_for;
  Lock lock;
  Signalled() {
    calls[1] = calls[2] = 0;
    waited_for = &lock;
    name(&lock, "lock");
  }
  static void count(int signum) {
    require(underthread::get_ident() == ident_of_thread(0), "a handler ran in another thread");
    ++calls[signum == 10 ? 1 : 2];
  }
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
  static inline bool told[3];
  TwoSignals() {
    told[1] = told[2] = false;
    handle(10, [](int signum) {
      require(told[1], "what was done before the signal is not seen");
      count(signum);
      waited_for->acquire();
    });
    handle(12, [](int signum) {
      require(told[2], "what was done before the signal is not seen");
      release(signum);
    });
    lock.acquire();
  }
  void thread(int number) override {
    if (number != 0) {
      told[number] = true;
      return underthread::interrupt_main(number == 1 ? 10 : 12);
    }
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
    handle(12, count);
    lock.acquire();
  }
  void thread(int number) override {
    if (number == 1) {
      underthread::interrupt_main(10);
      underthread::interrupt_main(12);
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

// A thread that is not main comes to a safe point, with something pending, while a signal is due.
struct NotHere : Signalled {
  NotHere() { handle(10, count); }
  void thread(int number) override {
    if (number == 0) {
      underthread::check_interrupts();
    } else if (number == 1) {
      underthread::interrupt_main(10);
    } else {
      bool stopped = false;
      try {
        underthread::interrupt(ident_of_thread(2), std::make_exception_ptr(Stop()));
        underthread::check_interrupts();
      } catch (const Stop&) {
        stopped = true;
      }
      require(stopped, "an interrupt to oneself was lost");
    }
  }
  void at_end() override {
    underthread::check_interrupts();
    require(calls[1] == 1, "the handler did not run once");
  }
};

// It arrives while nobody handles it, and is not remembered for whoever does later.
struct Unhandled : Signalled {
  // On real threads the handler of the run before is still there.
  Unhandled() { underthread::signal(23, underthread::default_action); }
  void thread(int) override {
    underthread::interrupt_main(23);
    underthread::signal(23, [](int) { require(false, "called for what came before it was set"); });
    underthread::check_interrupts();
  }
};

// A handler that returns neither shortens a sleep or a timed wait, nor makes it longer.
template <bool sleeps>
struct HandlerReturns : Signalled {
  // When it must have ended; 0: not known. Known where the clock was seen to jump, once, while
  // thread 0 waited: its deadline was set by then, and time goes on to that and no further.
  std::atomic<std::int64_t> latest{0};
  HandlerReturns() {
    handle(10, count);
    lock.acquire();
  }
  void thread(int number) override {
    if (number == 1) {
      const bool waits = record_of_thread(0).waits_for.load() != nullptr;
      const std::int64_t before = os::now();
      if (waits && os::now() == before + 1'000'000) latest.store(before + 10'000'000);
      return underthread::interrupt_main(10);
    }
    const std::int64_t began = os::now();
    if (sleeps)
      underthread::sleep_for(std::chrono::milliseconds(10));
    else
      require(!lock.acquire(true, 0.01), "acquired what nobody released");
    const std::int64_t ended = os::now();
    require(ended - began >= 10'000'000, "ended before its time");
    require(latest.load() == 0 || ended <= latest.load(), "ended after its time");
  }
  void at_end() override {
    underthread::check_interrupts();
    require(calls[1] == 1, "the handler did not run once");
  }
};

// One waits, then another; the first is interrupted, its handler returns, and it is still the
// first.
struct KeepsItsPlace : Signalled {
  WaitOrder order;
  KeepsItsPlace() {
    handle(10, count);
    lock.acquire();
  }
  void thread(int number) override {
    if (number < 2) {
      lock.acquire();
      lock.release();
      return;
    }
    order.require_kept(lock, 2);
    underthread::interrupt_main(10);
    order.require_kept(lock, 2);
    lock.release();
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
    {.name = "signal-not-here",
     .what = "a signal is due while another thread interrupts itself",
     .threads = 3,
     .make = make<NotHere>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .needs_main = true},
    {.name = "signal-unhandled",
     .what = "a signal comes before it has a handler",
     .threads = 1,
     .make = make<Unhandled>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .needs_main = true},
    {.name = "signal-in-a-sleep",
     .what = "a handler returns into a sleep of 10 ms",
     .threads = 2,
     .make = make<HandlerReturns<true>>,
     .time_outs_are_needed = true,
     .changes_process = true,
     .only_explored = true},
    {.name = "signal-in-a-timed-wait",
     .what = "a handler returns into a wait of 10 ms",
     .threads = 2,
     .make = make<HandlerReturns<false>>,
     .time_outs_are_needed = true,
     .changes_process = true,
     .only_explored = true},
    {.name = "signal-keeps-its-place",
     .what = "two wait; the first is interrupted and waits on",
     .threads = 3,
     .make = make<KeepsItsPlace>,
     .may = {.time_outs = 0, .jumps = 1},
     .changes_process = true,
     .stale_bound = 2,
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

const std::span<const RowInfo> signal_rows = rows;

}  // namespace explore
