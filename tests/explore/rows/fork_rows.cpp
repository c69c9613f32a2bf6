#include <underthread/interrupt.h>
#include <underthread/lock.h>
#include <underthread/signals.h>
#include <underthread/thread.h>

#include <exception>

#include "lot/thread_record.h"
#include "rows/in_place.h"
#include "rows/table.h"

namespace explore {
namespace {

using underthread::Lock;
namespace lot = underthread::lot;

struct Stop {};

// Thread 0 forks while others are in the middle of things. In the child it is alone.
struct Forks : Row {
  Lock shared;  // of all
  Lock mine;    // thread 0 holds it across the fork
  Inside inside;

  Forks() {
    name(&shared, "shared");
    name(&mine, "mine");
  }

  virtual void other(int number) = 0;

  void thread(int number) override {
    if (number != 0) return other(number);
    mine.acquire();
    const bool child = fork_here();
    if (child) in_child();
    require(mine.is_mine(), "a lock held across a fork is not held");
    mine.release();
    require(!child || !mine.locked(), "a lock held across a fork cannot be released");
  }

  virtual void in_child() {
    require(lot::live_count() == 1, "threads that did not survive the fork are known");
    require(mine.is_mine(), "a lock held across a fork is not held");
    // What another thread held stays locked, by nobody; what was free is free, whoever waited.
    if (shared.try_lock())
      shared.unlock();
    else
      require(shared.owner() == 0, "a lock is held by a thread that did not survive");
    // Threads start, wait, are woken and end.
    underthread::Thread thread([this] {
      mine.lock();
      inside.visit();
      mine.unlock();
    });
    mine.release();
    thread.join();
    mine.acquire();
    require(inside.times() == 1, "a thread of the child did not run");
    // Interrupts reach the thread that forked.
    bool interrupted = false;
    try {
      require(underthread::interrupt(underthread::get_ident(), std::make_exception_ptr(Stop())),
              "the thread that forked is not known");
      underthread::check_interrupts();
    } catch (const Stop&) {
      interrupted = true;
    }
    require(interrupted, "an interrupt in the child was lost");
  }
};

// They contend for a lock: buckets are locked and queues are half made.
struct WhileWaiting : Forks {
  void other(int) override {
    shared.lock();
    step();
    shared.unlock();
  }
};

// One waits for what the forking thread holds, so that the child's release finds the mark of it.
struct WhileWaitedFor : Forks {
  void other(int) override {
    mine.lock();
    mine.unlock();
  }
};

// They start and end threads: the registry is locked.
struct WhileStarting : Forks {
  void other(int) override {
    underthread::Thread([] {}).join();
  }
};

// Others look at handlers, set before; a signal is due.
struct WhileSignalled : Forks {
  static inline int calls;
  static inline int others;
  WhileSignalled() {
    calls = others = 0;
    underthread::signal(10, [](int) { ++calls; });
    underthread::signal(12, [](int) { ++others; });
  }
  void other(int) override {
    underthread::interrupt_main(10);
    static_cast<void>(underthread::getsignal(10));
  }
  void in_child() override {
    const int before = calls;
    underthread::check_interrupts();
    require(calls == before, "a signal that was the parent's arrived in the child");
    underthread::interrupt_main(12);
    underthread::check_interrupts();
    require(others == 1, "a signal in the child was lost");
    require(calls == before, "a signal that was the parent's arrived with one of the child's");
  }
};

// An interrupt is sent to the thread that forks: it was the parent's.
struct WhileInterrupted : Forks {
  void other(int) override {
    require(underthread::interrupt(ident_of_thread(0), std::make_exception_ptr(Stop())),
            "the thread that forks is not known");
  }
  void thread(int number) override {
    if (number != 0) return other(number);
    if (!fork_here()) return;
    struct Mine {};
    bool interrupted = false;
    try {
      underthread::check_interrupts();
      underthread::interrupt(underthread::get_ident(), std::make_exception_ptr(Mine()));
      underthread::check_interrupts();
    } catch (const Stop&) {
      require(false, "an interrupt that was the parent's came to the child");
    } catch (const Mine&) {
      interrupted = true;
    }
    require(interrupted, "an interrupt in the child was lost");
  }
};

// Not the main thread forks: in the child it is the main thread.
struct ByAnother : Forks {
  static inline int calls;
  ByAnother() {
    calls = 0;
    underthread::signal(10, [](int) { ++calls; });
  }
  void other(int) override {}
  void thread(int number) override {
    if (number == 0) {
      shared.acquire();
      shared.release();
      return;
    }
    if (!fork_here()) return;
    underthread::interrupt_main(10);
    underthread::check_interrupts();
    require(calls == 1, "the thread that forked is not the main thread of the child");
  }
};

// Another holds interrupts off when the fork comes. In the child its record is a new thread's,
// which does not.
struct WhileHeldOff : Forks {
  void other(int) override {
    const underthread::HoldInterrupts hold;
    step();
  }
  void in_child() override {
    underthread::Thread thread([this] {
      try {
        mine.acquire();
      } catch (const Stop&) {
        child_was_interrupted = true;
      }
    });
    require(underthread::interrupt(thread.ident(), std::make_exception_ptr(Stop())),
            "a thread of the child is not known");
    thread.join();
    require(child_was_interrupted, "an interrupt in the child was lost");
  }
  bool child_was_interrupted = false;
};

// A thread that did not survive is done: whoever joins it in the child does not wait for it.
struct JoinsInChild : Forks {
  void other(int) override {}
  void thread(int) override {
    mine.lock();
    underthread::Thread waits([this] {
      mine.lock();
      mine.unlock();
    });
    if (fork_here()) {
      waits.join();
      require(waits.is_done(), "a thread that did not survive the fork is not done");
      mine.unlock();
      return;
    }
    require(!waits.is_done(), "a thread is done before its end");
    mine.unlock();
    waits.join();
  }
};

// The same of one that has ended, mostly: it says that it ends, and who forks waits for that.
struct JoinsEndedInChild : Forks {
  void other(int) override {}
  void thread(int) override {
    mine.acquire();
    underthread::Thread ends([this] { mine.release(); });
    mine.acquire();
    const bool child = fork_here();
    ends.join();
    require(ends.is_done(), "joined, and not done");
    mine.release();
    require(!child || !mine.locked(), "the lock is left locked");
  }
};

// A thread of ours forks. In the child others join it, which is the main thread now, when it ends.
struct ThreadForks : Forks {
  int written = 0;
  bool child = false;
  void other(int) override {}
  void thread(int) override {
    underthread::Thread forks([this] {
      child = fork_here();
      if (child) in_new_main();
    });
    forks.join();
    require(!child, "a thread that did not survive the fork goes on");
  }
  void in_new_main() {
    underthread::Thread thread([this] { written = 1; });
    thread.join();
    require(written == 1, "a thread of the child did not run");
  }
};

constexpr RowInfo rows[] = {
    {.name = "fork-while-waiting",
     .what = "one forks while two contend for a lock",
     .threads = 3,
     .make = make<WhileWaiting>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .bound = 2,
     .forks = true},
    {.name = "fork-while-waited-for",
     .what = "one forks while another waits for what it holds",
     .threads = 2,
     .make = make<WhileWaitedFor>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .forks = true},
    {.name = "fork-while-starting",
     .what = "one forks while another starts a thread",
     .threads = 2,
     .make = make<WhileStarting>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .bound = 2,
     .forks = true},
    {.name = "fork-while-signalled",
     .what = "one forks while another looks at handlers",
     .threads = 2,
     .make = make<WhileSignalled>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .needs_main = true,
     .forks = true},
    {.name = "fork-while-interrupted",
     .what = "one forks while another interrupts it",
     .threads = 2,
     .make = make<WhileInterrupted>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .forks = true},
    {.name = "fork-while-held-off",
     .what = "one forks while another holds interrupts off",
     .threads = 2,
     .make = make<WhileHeldOff>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .forks = true},
    {.name = "fork-join-in-child",
     .what = "one joins, in the child, a thread that did not survive",
     .threads = 1,
     .make = make<JoinsInChild>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .forks = true},
    {.name = "fork-join-ended-in-child",
     .what = "one joins, in the child, a thread that ended before the fork",
     .threads = 1,
     .make = make<JoinsEndedInChild>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .forks = true},
    {.name = "fork-by-a-thread",
     .what = "a started thread forks, and starts one in the child",
     .threads = 1,
     .make = make<ThreadForks>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .forks = true},
    {.name = "fork-by-another",
     .what = "a thread forks that is not the main thread",
     .threads = 2,
     .make = make<ByAnother>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .needs_main = true,
     .forks = true},
};

}  // namespace

const std::span<const RowInfo> fork_rows = rows;

}  // namespace explore
