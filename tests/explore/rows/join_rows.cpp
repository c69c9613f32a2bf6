#include <underthread/errors.h>
#include <underthread/thread.h>

#include "latch.h"
#include "lot/thread_record.h"
#include "os/futex.h"
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

// Who merely looks, and sees it set, sees what was done before it.
struct Look : Wait {
  void thread(int number) override {
    if (number == 0) return Wait::thread(0);
    if (latch.is_set()) require(written == 1, "what was done before it is not seen");
  }
};

struct TimedWait : Wait {
  void thread(int number) override {
    if (number != 1) return Wait::thread(number);
    lot::Wait wait{.until = underthread::os::now() + 10'000'000};
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
    require(lot::live_count() == before, "joined, and still there");
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

// The kernel's number is there for whoever has the handle, as soon as the thread runs.
struct NativeId : Threads {
  void thread(int) override {
    Thread thread([] {});
    require(thread.native_id() != 0, "a thread without the kernel's number");
    thread.join();
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

constexpr RowInfo rows[] = {
    {.name = "latch-2", .what = "one sets a latch, one waits", .threads = 2, .make = make<Wait>},
    {.name = "latch-3", .what = "one sets a latch, two wait", .threads = 3, .make = make<Wait>},
    {.name = "latch-look", .what = "one sets a latch, one looks", .threads = 2, .make = make<Look>},
    {.name = "latch-timed",
     .what = "one sets a latch, one waits for 10 ms at most, one for ever",
     .threads = 3,
     .make = make<TimedWait>},
    {.name = "join",
     .what = "a thread is started and joined",
     .threads = 1,
     .make = make<StartAndJoin>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true},
    {.name = "join-two",
     .what = "two threads join a third",
     .threads = 1,
     .make = make<TwoJoin>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .stale_bound = 2},
    {.name = "join-timed",
     .what = "a join of 10 ms at most, then one for ever",
     .threads = 1,
     .make = make<TimedJoin>,
     .may = {.time_outs = 1, .jumps = 0},
     .changes_process = true},
    {.name = "join-by-destructor",
     .what = "the handle is dropped",
     .threads = 1,
     .make = make<DropHandle>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true},
    {.name = "join-native-id",
     .what = "a thread is started and asked for the kernel's number",
     .threads = 1,
     .make = make<NativeId>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true},
    {.name = "join-exit",
     .what = "a thread that exits is joined",
     .threads = 1,
     .make = make<JoinOneThatExits>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true},
    {.name = "start-refused",
     .what = "two threads start one each; the system refuses one",
     .threads = 2,
     .make = make<Refused>,
     .may = {.time_outs = 0, .jumps = 0, .refusals = 1},
     .changes_process = true,
     .bound = 2},
};

}  // namespace

const std::span<const RowInfo> join_rows = rows;

}  // namespace explore
