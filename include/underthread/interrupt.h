// Interrupts: an exception from one thread to another, thrown at its next safe point; a thread that
// waits at one notices at once. Safe points: `acquire`, `join`, `sleep_for`, `sleep_until` and
// `check_interrupts`.
#pragma once

#include <underthread/ident.h>
#include <underthread/lot/thread_head.h>

#include <atomic>
#include <exception>

namespace underthread {

/// `check_interrupts` where something may be pending.
void deliver_interrupts();

/// A safe point: runs the handlers of signals that have arrived (main thread) and throws what
/// `interrupt` sent to this thread, one exception a call, first sent first; then the TimeoutError
/// of a TimeLimit that is over. What does not get its turn, because something before it was thrown,
/// stays pending. Does nothing while interrupts are held off.
inline void check_interrupts() {
  const lot::ThreadHead* me = lot::this_thread;
  if (me && !me->is_left_alone()) deliver_interrupts();
}

/// Sends `exception` to a thread, to be thrown at its next safe point. False: no thread of that
/// ident is known (a thread that we did not start is known from its first use of the library on).
/// Never lost while the thread lives, and never costs it a lock: one that was just handed a lock
/// returns with it and gets the exception at its next safe point.
/// @throws std::invalid_argument "no exception to interrupt with": `exception` is null
bool interrupt(Ident ident, std::exception_ptr exception);

/// Holds interrupts off in this thread while it exists; they stay pending. Nests. For destructors,
/// `noexcept` functions, and clean-up that must be whole. (Safe points that run while an exception
/// unwinds the stack hold them off by themselves.)
class HoldInterrupts {
 public:
  HoldInterrupts();
  ~HoldInterrupts();
  HoldInterrupts(const HoldInterrupts&) = delete;
  HoldInterrupts& operator=(const HoldInterrupts&) = delete;
};

}  // namespace underthread
