#include <underthread/dump.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "lot/parking_lot.h"
#include "lot/thread_record.h"
#include "lot/wait_graph.h"
#include "os/futex.h"
#include "os/write.h"
#include "plain_dump.h"
#include "seen.h"
#include "sentences.h"

namespace underthread {
namespace {

using lot::Look;
using lot::WaitEdge;

/// How many waits are looked at to find deadlocks: what has longer paths is a program with
/// thousands of threads, and this may run in a signal handler.
constexpr std::size_t most_looks = 100'000;

/// A thread, and the memory of its name.
struct Thread {
  explicit Thread(std::uint32_t word) noexcept : holder(lot::thread_of(word)) {
    words.ident = lot::ident_of(holder);
    if (words.ident == 0) return;
    const lot::ThreadRecord& record = *lot::record_of(holder);
    words.native_id = record.native_id.load(std::memory_order_relaxed);
    name = lot::name_bytes(record);
    words.name = name.data();
    words.is_main = lot::main_thread.load(std::memory_order_acquire) == &record;
    words.holds_interrupts = record.interrupts_held.load(std::memory_order_relaxed) != 0;
    // Another may have the record by now.
    if (!lot::is_alive(holder)) words.ident = 0;
  }
  Thread(const Thread&) = delete;
  Thread& operator=(const Thread&) = delete;

  bool is_alive() const noexcept { return words.ident != 0; }

  std::uint32_t holder;
  lot::NameBytes name{};
  ThreadWords words;
};

void say_short(TextBuffer& text, std::uint32_t word) noexcept {
  const Thread thread(word);
  if (thread.is_alive())
    say_short(text, thread.words);
  else
    text << ended_thread;
}

/// A lock, and the memory of its name.
struct LockOf {
  LockOf(const WaitEdge& edge, bool& all_is_known) noexcept {
    words.kind = edge.kind->name;
    if (!edge.kind->is_lock) return;
    words.address = edge.key;
    if (!try_name_of_lock(edge.key, name)) all_is_known = false;
    words.name = name.view();
  }
  LockOf(const LockOf&) = delete;
  LockOf& operator=(const LockOf&) = delete;

  TextBuffer name;
  LockWords words;
};

class Dump {
 public:
  explicit Dump(lot::Callback<void(std::string_view)> write) noexcept : write_(write) {}

  void say() noexcept {
    lot::try_each_thread([this](std::uint32_t holder) { count(holder); });
    TextBuffer summary;
    say_summary(summary, threads_, waiting_);
    put(summary);
    if (waiting_for_most_ > 0) put_most_waited_for();
    lot::try_each_thread([this](std::uint32_t holder) { look_for_deadlock(holder); });
    put_deadlocks();
    for (const bool waiting : {true, false})
      lot::try_each_thread([this, waiting](std::uint32_t holder) { put_thread(holder, waiting); });
    TextBuffer rest;
    if (busy_ > 0) {
      say_count(rest, busy_, "wait");
      rest << " could not be looked at: a lock of the library was held at that moment";
      put(rest);
    } else if (!names_are_known_) {
      rest << "the names of locks could not be read at this moment";
      put(rest);
    }
  }

 private:
  void put(TextBuffer& line) noexcept {
    line << "\n";
    write_(line.view());
  }

  bool look(std::uint32_t holder, WaitEdge& edge) noexcept {
    const Look found = lot::try_look_at(holder, edge);
    if (found == Look::busy) is_busy_ = true;
    return found == Look::waits;
  }

  void count(std::uint32_t holder) noexcept {
    ++threads_;
    WaitEdge edge;
    is_busy_ = false;
    const bool waits = look(holder, edge);
    if (waits || is_busy_) ++waiting_;
    if (is_busy_) ++busy_;
    if (!waits || !edge.kind->is_lock || !edge.is_first) return;
    // A condition's waiter, who has a lock of its own.
    if (lot::thread_of(edge.blocker) == holder && !(edge.blocker & lot::only_it)) return;
    const std::size_t waiters = lot::try_count_waiters(edge.key);
    if (waiters <= waiting_for_most_) return;
    waiting_for_most_ = waiters;
    most_ = edge;
  }

  void put_most_waited_for() noexcept {
    const LockOf lock(most_, names_are_known_);
    TextBuffer holder;
    const Thread thread(most_.blocker);
    if (thread.is_alive()) underthread::say_short(holder, thread.words);
    TextBuffer line;
    say_most_waited_for(line, lock.words, waiting_for_most_, holder.view(),
                        os::now() - most_.since);
    put(line);
  }

  /// By the first of its threads, as they are gone through.
  void look_for_deadlock(std::uint32_t holder) noexcept {
    WaitEdge first;
    if (looks_ >= most_looks || !look(holder, first)) return;
    bool is_first = true;
    const auto look_on = [this](std::uint32_t next, WaitEdge& edge) {
      return ++looks_ < most_looks && look(next, edge);
    };
    const auto compare = [&](const WaitEdge& edge) {
      is_first = is_first && edge.waiter >= holder;
    };
    const lot::Path path = lot::follow_twice(first, compare, look_on);
    if (!lot::is_own_deadlock(path) || !is_first || looks_ >= most_looks) return;
    if (++deadlocks_ > 1) return;
    TextBuffer& line = deadlock_;
    line << deadlock_head(name_of(path.deadlock));
    lot::follow(
        first,
        [&line](const WaitEdge& edge) {
          say_short(line, edge.waiter);
          line << " -> ";
        },
        look_on);
    if (path.end == lot::PathEnd::nobody)
      line << ended_thread;
    else
      say_short(line, holder);
  }

  void put_deadlocks() noexcept {
    if (deadlocks_ > 1) deadlock_ << "; and " << deadlocks_ - 1 << " more";
    if (deadlocks_ > 0) put(deadlock_);
    if (looks_ < most_looks) return;
    TextBuffer line;
    line << "whether there are more deadlocks was not looked for: too many wait";
    put(line);
  }

  void put_thread(std::uint32_t holder, bool waiting) noexcept {
    WaitEdge edge;
    is_busy_ = false;
    const bool waits = look(holder, edge);
    if ((waits || is_busy_) != waiting) return;
    const Thread thread(holder);
    if (!thread.is_alive()) return;
    TextBuffer line;
    line << "  ";
    say_thread(line, thread.words, true);
    line << " ";
    if (is_busy_)
      line << "waits";
    else if (!waits)
      say_wait(line, thread.words, nullptr);
    else
      put_wait(line, thread, edge);
    put(line);
  }

  void put_wait(TextBuffer& line, const Thread& thread, const WaitEdge& edge) noexcept {
    const LockOf lock(edge, names_are_known_);
    TextBuffer blocker;
    if (edge.blocker != 0) say_short(blocker, edge.blocker);
    const std::int64_t now = os::now();
    const WaitWords words{
        .lock = lock.words,
        .lasted = now - edge.since,
        .is_timed = edge.is_timed(),
        .left = edge.until - now,
        .has_blocker = edge.blocker != 0,
        .only_it_can = (edge.blocker & lot::only_it) != 0,
        .blocker = blocker.view(),
        .blocker_is_itself = lot::thread_of(edge.blocker) == thread.holder,
    };
    say_wait(line, thread.words, &words);
  }

  const lot::Callback<void(std::string_view)> write_;
  std::size_t threads_ = 0;
  std::size_t waiting_ = 0;
  std::size_t busy_ = 0;
  std::size_t waiting_for_most_ = 0;
  WaitEdge most_;
  std::size_t deadlocks_ = 0;
  TextBuffer deadlock_;
  std::size_t looks_ = 0;
  bool is_busy_ = false;
  bool names_are_known_ = true;
};

}  // namespace

void say_dump(lot::Callback<void(std::string_view)> write) noexcept {
  Dump(write).say();
}

void dump(int descriptor) noexcept {
  const os::KeptErrno kept;
  os::Output output(descriptor);
  say_dump([&output](std::string_view line) { output.write(line); });
}

}  // namespace underthread
