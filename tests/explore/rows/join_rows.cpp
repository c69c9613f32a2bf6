#include <underthread/errors.h>
#include <underthread/thread.h>

#include "latch.h"
#include "lot/thread_record.h"
#include "rows/in_place.h"
#include "rows/table.h"

namespace explore {
namespace {

using underthread::Latch;
using underthread::Thread;
namespace lot = underthread::lot;

// Thread 0 sets it, the others wait.
struct Wait : Row {
  Latch latch;
  int written = 0;
  Wait() { name(&latch, "latch"); }
  void thread(int number) override {
    if (number == 0) {
      written = 1;
      latch.set();
      return;
    }
    lot::Wait wait;
    require(latch.wait(record_of_thread(number), wait) == lot::WaitEnd::done, "not waited for");
    require(written == 1, "what was done before it is not seen");
  }
  void at_end() override { require(latch.is_set(), "forgotten"); }
};

struct TimedWait : Wait {
  void thread(int number) override {
    if (number != 1) return Wait::thread(number);
    lot::Wait wait{.until = 1'000'000'000 + 10'000'000};
    if (latch.wait(record_of_thread(1), wait) == lot::WaitEnd::done)
      require(written == 1, "what was done before it is not seen");
  }
};

// Threads that are started in a row: all of them are gone at its end.
struct Threads : Row {
  std::size_t before = lot::live_count();
  void at_end() override {
    require(lot::live_count() == before, "a thread that has ended is known");
  }
};

struct StartAndJoin : Threads {
  int written = 0;
  void thread(int) override {
    Thread thread([this] { written = 1; });
    thread.join();
    require(written == 1, "joined before its end");
    require(thread.is_done(), "joined, and not done");
  }
};

// Two wait for the end of one.
struct TwoJoin : Threads {
  int written = 0;
  Thread first;
  void thread(int) override {
    first = Thread([this] { written = 1; });
    Thread second([this] {
      first.join();
      require(written == 1, "joined before its end");
    });
    first.join();
    require(written == 1, "joined before its end");
    second.join();
    first = Thread();
  }
};

struct TimedJoin : Threads {
  int written = 0;
  void thread(int) override {
    Thread thread([this] { written = 1; });
    if (thread.join(0.01)) require(written == 1, "joined before its end");
    thread.join();
    require(written == 1, "joined before its end");
  }
};

// The handle goes first: it waits.
struct DropHandle : Threads {
  int written = 0;
  void thread(int) override {
    {
      Thread thread([this] { written = 1; });
    }
    require(written == 1, "the handle went before the thread");
  }
};

// What a thread throws reaches whoever joins. SystemExit is nothing.
struct JoinOneThatExits : Threads {
  void thread(int) override {
    Thread thread([] { underthread::exit(); });
    thread.join();
  }
};

// Both are started, or one is refused; then nothing is left of it.
struct Refused : Threads {
  int started = 0;
  int ran[2] = {0, 0};
  void thread(int number) override {
    try {
      Thread thread([this, number] { ran[number] = 1; });
      thread.join();
      require(ran[number] == 1, "joined before its end");
    } catch (const underthread::error&) {
      require(ran[number] == 0, "refused, and ran");
    }
  }
};

constexpr May starts{.time_outs = 0, .jumps = 0};

constexpr RowInfo rows[] = {
    {"latch-2", "one sets a latch, one waits", 2, make<Wait>},
    {"latch-3", "one sets a latch, two wait", 3, make<Wait>},
    {"latch-timed", "one sets a latch, one waits for 10 ms at most, one for ever", 3,
     make<TimedWait>},
    {"join", "a thread is started and joined", 1, make<StartAndJoin>, starts, false, true},
    {"join-two", "two threads join a third", 1, make<TwoJoin>, starts, false, true, 2},
    {"join-timed", "a join of 10 ms at most, then one for ever", 1, make<TimedJoin>,
     May{.time_outs = 1, .jumps = 0}, false, true},
    {"join-by-destructor", "the handle is dropped", 1, make<DropHandle>, starts, false, true},
    {"join-exit", "a thread that exits is joined", 1, make<JoinOneThatExits>, starts, false, true},
    {"start-refused", "two threads start one each; the system refuses one", 2, make<Refused>,
     May{.time_outs = 0, .jumps = 0, .refusals = 1}, false, true, 2},
};

}  // namespace

const std::span<const RowInfo> join_rows = rows;

}  // namespace explore
