// StartGate: lets no thread begin to exist once the interpreter has begun to end.
//
// Where there is a GIL the starter has it until the new thread has a thread state, and the end
// cannot begin in between. A free-threaded interpreter may have to stop all threads for a new
// thread state, which the new thread makes, so there the end waits for the starts that are under
// way: before it goes on from the functions of `atexit`, and no start comes after. Without it, a
// thread state is made of an interpreter that is gone.
#pragma once

#include <atomic>
#include <cstdint>

#include "cpython/cpython.h"
#include "latch.h"

namespace underthread::python {

#if UNDERTHREAD_HAS_GIL

class StartGate {
 public:
  bool enter() { return true; }
  void leave() {}
};

inline void close_at_the_end(PyObject*) {}

#else

/// Part of a module's state, which is zeroed memory: that is an open gate.
class StartGate {
 public:
  /// True: `leave` is to follow, once the thread has its state or has failed. False: it is closed,
  /// and the caller is the main thread. For any other the end has come, and it does not come back:
  /// what it has on its stack must not need to be cleared.
  bool enter();
  /// By any thread, with or without a thread state.
  void leave();
  /// From now on `enter` is false; returns when all have left. The caller has a thread state, and
  /// is detached while it waits.
  void close();

  /// True for the first who asks: `close` is to be called at the end.
  bool is_to_be_watched() { return !watched_.exchange(true, std::memory_order_relaxed); }
  void is_not_watched() { watched_.store(false, std::memory_order_relaxed); }

 private:
  //   bit 0      closed
  //   bits 1-31  how many are inside
  //   bits 32-   the fork that this is of: in its child the others are gone, and it is open
  static constexpr std::uint64_t closed = 1;
  static constexpr std::uint64_t one = 2;
  static constexpr std::uint64_t inside = 0xFFFFFFFE;

  static std::uint64_t of_this_process(std::uint64_t word);

  // acq_rel: whoever closes knows of what all did who left. Loads are for the compare-and-swap
  // after them.
  std::atomic<std::uint64_t> word_;
  Latch empty_;  ///< closed, and nobody is inside
  // Relaxed: decides who does it, and nothing else.
  std::atomic<bool> watched_;
};

/// Has `module`'s gate closed by `atexit`, unless that is so already. An interpreter that has
/// `_thread` built in loads it before it can import; then the next call does it.
void close_at_the_end(PyObject* module);

#endif

}  // namespace underthread::python
