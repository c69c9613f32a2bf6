#include <underthread/errors.h>
#include <underthread/interrupt.h>
#include <underthread/lock.h>
#include <underthread/signals.h>
#include <underthread/thread.h>

#include <exception>

#include "lot/thread_record.h"
#include "os/native_thread.h"
#include "rows/in_place.h"
#include "rows/table.h"

namespace explore {
namespace {

using underthread::Ident;
using underthread::Lock;
namespace lot = underthread::lot;
namespace os = underthread::os;

// What is sent to a thread that ends is taken or deleted, once.
struct ExitWhileSent : Row {
  // What it carries locks when it goes, as a user's destructor may.
  struct Counted final : lot::Letter {
    explicit Counted(ExitWhileSent& row) : row_(row) {}
    ~Counted() override {
      row_.lock.lock();
      row_.inside.visit();
      ++row_.gone;
      row_.lock.unlock();
    }
    ExitWhileSent& row_;
  };
  Lock lock;
  Inside inside;
  int gone = 0;
  std::size_t before = lot::live_count();
  void thread(int number) override {
    if (number == 0) return end_as_threads_do();
    auto* letter = new Counted(*this);
    if (!lot::send(ident_of_thread(0), *letter)) delete letter;
    lock.lock();
    inside.visit();
    lock.unlock();
  }
  void at_end() override {
    require(!lock.locked(), "the lock is left locked, or was lost");
    require(gone == 1, "a letter to a thread that ended was lost, or deleted twice");
    require(lot::live_count() == before - 1, "a thread that has ended is known");
  }
};

// The record of one that ended is another thread's at once. What was for the one does not reach the
// other.
struct Reused : Row {
  std::size_t before = lot::live_count();
  struct Stop {};
  void thread(int number) override {
    if (number == 0) {
      end_as_threads_do();
    } else if (number == 1) {
      underthread::interrupt(ident_of_thread(0), std::make_exception_ptr(Stop()));
    } else {
      underthread::Thread thread([] {
        try {
          underthread::check_interrupts();
        } catch (const Stop&) {
          require(false, "interrupted by what was for another");
        }
      });
      thread.join();
    }
  }
  void at_end() override {
    require(lot::live_count() == before - 1, "a thread that has ended is known");
  }
};

// Who holds a lock, asked while the holder ends and another thread takes its record: the holder, or
// nobody.
struct OwnerEnds : Row {
  Lock lock;   // the one that ends leaves it locked
  Lock later;  // the one that has its record then takes this one
  OwnerEnds() {
    name(&lock, "lock");
    name(&later, "later");
  }
  void thread(int number) override {
    if (number == 0) {
      lock.acquire();
      end_as_threads_do();
    } else if (number == 1) {
      if (any_of(2) == 0) {
        const Ident owner = lock.owner();
        require(owner == 0 || owner == ident_of_thread(0), "the owner never held it");
      } else {
        require(later.owner() != ident_of_thread(0), "the owner never held it");
      }
    } else {
      underthread::Thread([this] { later.acquire(); }).join();
    }
  }
};

// A new thread can be interrupted by the ident that its start returned, from then on.
struct InterruptANewOne : Row {
  Lock lock;
  std::size_t before = lot::live_count();
  InterruptANewOne() { lock.acquire(); }
  void thread(int) override {
    const Ident ident = underthread::start_new_thread([this] { lock.acquire(); });
    require(underthread::interrupt(ident, std::make_exception_ptr(underthread::SystemExit())),
            "a thread that was just started is not known");
  }
  // It was not joined, so on real threads it may still be about to end.
  void at_end() override {
    while (lot::live_count() != before) step();
  }
};

// Threads that start and end beside each other, and one who looks for them.
struct StartBesideEach : Row {
  std::size_t before = lot::live_count();
  void thread(int number) override {
    if (number < 2)
      underthread::Thread([] {}).join();
    else
      lot::find(ident_of_thread(5), [](lot::ThreadRecord&) {});
  }
  void at_end() override { require(lot::live_count() == before, "threads were lost or left"); }
};

// The main thread ends, and another thread has its record: that one is not main.
struct MainEnds : Row {
  static inline int calls;
  MainEnds() {
    calls = 0;
    underthread::signal(10, [](int) { ++calls; });
  }
  void thread(int number) override {
    if (number == 0) return end_as_threads_do();
    if (number == 1) return underthread::interrupt_main(10);
    underthread::Thread([] { underthread::check_interrupts(); }).join();
  }
  void at_end() override { require(calls == 0, "a handler ran in a thread that is not main"); }
};

// A thread that has never used the library ends somebody's hold, or is refused. The lock's word may
// say that it is free and that others wait: that is not its hold.
struct StrangerReleases : Row {
  Lock lock;
  int released[4] = {};
  int acquired[4] = {1, 0, 0, 0};
  StrangerReleases() {
    lock.acquire();
    name(&lock, "lock");
  }
  void release(int number) {
    try {
      lock.release();
      ++released[number];
    } catch (const underthread::error&) {
    }
  }
  void thread(int number) override {
    if (number == 0) {
      std::uintptr_t ident = 0;
      const auto stranger = [](void* row) -> void* {
        static_cast<StrangerReleases*>(row)->release(3);
        return nullptr;
      };
      release(0);
      require(os::start_thread(stranger, this, 0, true, ident) == 0, "not started");
      while (!os::join_thread(ident, 1'000'000)) {
      }
      return;
    }
    lock.acquire();
    ++acquired[number];
    release(number);
  }
  void at_end() override {
    int held = 0;
    for (int i = 0; i < 4; ++i) held += acquired[i] - released[i];
    require(held == (lock.locked() ? 1 : 0),
            "a release released nothing, or two released one hold");
  }
};

// A signal that comes before the main thread is known reaches it all the same.
struct SignalBeforeMain : Row {
  static inline int calls;
  SignalBeforeMain() {
    calls = 0;
    underthread::signal(10, [](int) { ++calls; });
  }
  void thread(int number) override {
    if (number == 1) return underthread::interrupt_main(10);
    // As it was before it was known.
    lot::this_thread = nullptr;
    lot::main_thread.store(nullptr, std::memory_order_relaxed);
    lot::attach();
    underthread::check_interrupts();
  }
  void at_end() override {
    underthread::check_interrupts();
    require(calls == 1, "a signal was lost");
  }
};

constexpr RowInfo rows[] = {
    {.name = "record-exit-while-sent",
     .what = "a thread ends while a letter is sent to it",
     .threads = 2,
     .make = make<ExitWhileSent>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true},
    {.name = "record-reused",
     .what = "one ends, one interrupts it, one starts a thread",
     .threads = 3,
     .make = make<Reused>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .bound = 2},
    {.name = "record-owner-ends",
     .what = "a holder ends; who holds the lock?",
     .threads = 3,
     .make = make<OwnerEnds>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .bound = 2},
    {.name = "record-interrupt-a-new-one",
     .what = "a thread is started and interrupted",
     .threads = 1,
     .make = make<InterruptANewOne>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true},
    {.name = "record-start-beside",
     .what = "two start a thread each, one looks for a thread",
     .threads = 3,
     .make = make<StartBesideEach>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .bound = 1},
    {.name = "record-main-ends",
     .what = "main ends, one sends it a signal, one starts a thread",
     .threads = 3,
     .make = make<MainEnds>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .bound = 2,
     .only_explored = true},
    {.name = "record-stranger-releases",
     .what = "two wait; the holder and a stranger release",
     .threads = 3,
     .make = make<StrangerReleases>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .bound = 2},
    {.name = "record-signal-before-main",
     .what = "a signal comes while the main thread becomes known",
     .threads = 2,
     .make = make<SignalBeforeMain>,
     .may = {.time_outs = 0, .jumps = 0},
     .changes_process = true,
     .only_explored = true},
};

}  // namespace

const std::span<const RowInfo> record_rows = rows;

}  // namespace explore
