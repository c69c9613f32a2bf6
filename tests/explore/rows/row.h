// A row: a small program of two to four threads, and what must be true in every one of its runs.
//
// The same rows run twice: explored, under every schedule up to a bound (engine/), and on real
// threads for as long as one likes (soak.cpp). So they use the library and the few functions here,
// and nothing that tells the two apart.
#pragma once

#include <cstdint>

namespace explore {

class Row {
 public:
  virtual ~Row() = default;
  /// What each of the threads does; they are numbered from 0. Thread 0 is the main thread.
  virtual void thread(int number) = 0;
  /// A signal's handler, in whichever thread; for rows that have signals.
  virtual void on_signal(int /*thread*/) {}
  /// After all threads are done.
  virtual void at_end() {}
};

/// What else may happen in a row's runs, each at any moment; and how often in one run.
struct May {
  int time_outs = 1;  ///< a timed wait ends while others could still run
  int jumps = 1;      ///< the clock goes on by 1 ms, which is when a lock is handed over
  int signals = 0;    ///< `on_signal` runs, and ends a sleep
  int spurious = 0;   ///< a sleep ends for no reason
  int refusals = 0;   ///< the system starts no thread
};

struct RowInfo {
  const char* name;
  const char* what;  ///< one line
  int threads;
  Row* (*make)();
  May may{};
  /// Some wait in it is to end by its time being up. Without this, a wait that only its deadline
  /// could end is a lost wake-up.
  bool time_outs_are_needed = false;
  /// What the library knows differs after it: threads start or end in it, it sets handlers, or
  /// forks.
  bool changes_process = false;
  /// Preemptions at most when all rows are explored, and the same with stale reads: for a row that
  /// is too large for more. One that is named goes as far as it is told.
  int bound = 99;
  int stale_bound = 99;
  /// When a thread sleeps or ends, the first that can goes on, and no other: for rows of many
  /// threads that do the same, whose orders alone would be too many.
  bool in_turn = false;
  /// Thread 0 is the process's main thread, where signals' handlers run. Explored, it always is.
  bool needs_main = false;
  /// Some thread forks.
  bool forks = false;
  /// It does what no real thread may do.
  bool only_explored = false;
};

template <class T>
Row* make() {
  return new T;
}

/// Must be true, or the run is a failure.
void require(bool condition, const char* what);
/// A moment at which other threads may come in. Between two of the library's own there is none.
void step();
/// Any number below `options`; each is tried.
int any_of(int options);
/// Forks. True in the child, where the run goes on with this thread alone.
bool fork_here();
/// In a signal's handler: it ended a sleep in the kernel. Not known on real threads: false.
bool ended_a_sleep();
/// The calling thread ends, as far as the library knows, when `Row::thread` returns. Without it, it
/// stays known.
void end_as_threads_do();
/// What to call an object in a trace.
void name(const void* object, const char* name);

/// One who is inside a section that only one may be in. A second one fails the row: by the number,
/// and, explored, by the race on it.
class Inside {
 public:
  void enter() {
    require(number_ == 0, "two are inside");
    number_ = 1;
    step();
    require(number_ == 1, "two are inside");
  }
  void leave() {
    number_ = 0;
    ++times_;
  }
  /// In and out. Whoever calls this holds the lock.
  void visit() {
    enter();
    leave();
  }
  /// How often somebody has been inside.
  int times() const { return times_; }

 private:
  int number_ = 0;
  int times_ = 0;
};

}  // namespace explore
