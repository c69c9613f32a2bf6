// Interrupts: an exception from one thread to another, thrown at its next safe point; a thread that
// waits at one notices at once. Safe points: `acquire`, `join`, `sleep_for`, `sleep_until` and
// `check_interrupts`.
#pragma once

#include <underthread/ident.h>
#include <underthread/lot/thread_head.h>

#include <atomic>
#include <exception>
#include <type_traits>
#include <utility>

namespace underthread {

/// `check_interrupts` where something may be pending.
void deliver_interrupts();

/// A safe point: runs the handlers of signals that have arrived (main thread) and throws what
/// `interrupt` sent to this thread, one exception a call, first sent first; then the TimeoutError
/// of a TimeLimit that is over. What does not get its turn, because something before it was thrown,
/// stays pending. Does nothing while interrupts are held off.
inline void check_interrupts() {
  const lot::ThreadHead* me = lot::this_thread;
  if (!me || !me->is_left_alone()) deliver_interrupts();
}

/// What `check_interrupts` would throw now, taken and not thrown; null: nothing is pending.
/// Handlers run as there, and what they throw is returned. Also while interrupts are held off: for
/// code that may not throw, and yet wants to know; and for clean-up that is to go on, come what
/// may.
std::exception_ptr take_interrupt();

/// Sends `exception` to a thread, to be thrown at its next safe point. False: no thread of that
/// ident is known (one that we did not start is known from its first `get_ident`, or the first call
/// that takes a lock, waits, starts a thread or is a safe point).
/// Never lost while the thread lives, and never costs it a lock: one that was just handed a lock
/// returns with it and gets the exception at its next safe point.
/// @throws std::invalid_argument "no exception to interrupt with": `exception` is null
///
/// An ident may be another thread's once its thread has ended: where there is a Thread, call its
/// `interrupt`, which hits no other.
bool interrupt(Ident ident, std::exception_ptr exception);
template <class E>
requires(!std::is_convertible_v<E&&, std::exception_ptr>) bool interrupt(Ident ident,
                                                                         E&& exception) {
  return interrupt(ident, std::make_exception_ptr(std::forward<E>(exception)));
}

/// Holds interrupts off in this thread while it exists; they stay pending. Nests. For destructors,
/// `noexcept` functions, and clean-up that must be whole. (Safe points that run while an exception
/// unwinds the stack hold them off by themselves.)
class [[nodiscard]] HoldInterrupts {
 public:
  [[nodiscard]] HoldInterrupts();
  ~HoldInterrupts();
  HoldInterrupts(const HoldInterrupts&) = delete;
  HoldInterrupts& operator=(const HoldInterrupts&) = delete;
};

}  // namespace underthread
