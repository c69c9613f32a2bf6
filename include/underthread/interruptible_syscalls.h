// System calls that interrupts end: `read`, `accept`, `epoll_wait`, `poll`, `connect`, `waitpid`,
// `flock`, and all others that fail with EINTR when a signal handler has run.
//
// Without a scope an interrupt waits until the thread comes back to a safe point by itself; only a
// signal that the system happens to give to this very thread ends its call. With one, every
// interrupt does: `interrupt`, `interrupt_main`, a signal of `signal` that another thread took, a
// TimeLimit. The call is ended by a signal that nobody else has something to do with (SIGURG, or
// one of the last real-time signals), sent again after 1, 5, 20 and then each 100 ms until the
// thread comes to a safe point: also one that comes just before the call is not lost.
// UNDERTHREAD_NUDGE in the environment says another number.
#pragma once

#include <underthread/interrupt.h>

#include <cerrno>
#include <optional>

namespace underthread {

/// While it exists, a system call of this thread ends with EINTR when something is pending for its
/// next safe point. What to do then is the caller's: `check_interrupts`, and the call again. Code
/// in the scope must take EINTR for what it is; it may come without a reason. None comes through
/// this once the scope is left, or while interrupts are held off (HoldInterrupts). Nests. Where the
/// thread has that signal blocked, nothing is ended. One that is entered while an exception unwinds
/// the stack ends nothing, as safe points throw nothing there. Where nothing comes, the outermost
/// costs one short system call, to see that the signal is still nobody's.
/// @throws std::invalid_argument  "UNDERTHREAD_NUDGE is no signal's number"
/// @throws error  the program uses the signal that UNDERTHREAD_NUDGE says, or all that may be taken
/// Where the system has no timer left (RLIMIT_SIGPENDING counts them), a call is ended once and not
/// again: what comes just before a call does not end that, nor does a signal that the thread itself
/// has taken, and a TimeLimit ends none.
///
/// From the first scope on SIGURG has a handler of ours, unless the program uses it; without one
/// the system ignores it. `getsignal` says `default_action` all the same. One that others send then
/// ends a call as any signal does.
class [[nodiscard]] InterruptibleSyscalls {
 public:
  [[nodiscard]] InterruptibleSyscalls();
  ~InterruptibleSyscalls();
  InterruptibleSyscalls(const InterruptibleSyscalls&) = delete;
  InterruptibleSyscalls& operator=(const InterruptibleSyscalls&) = delete;

 private:
  std::optional<HoldInterrupts> hold_;
};

/// Calls `call`, a system call that says -1 and errno, until it ends in something else than EINTR,
/// with a safe point before each: handlers run, and what they throw, or `interrupt` sent, leaves
/// from here. (Python does the same for all of its calls: PEP 475.) A timeout in `call` counts anew
/// each time, unless `call` works it out.
///
///     const int ready = interruptible_syscall([&] { return epoll_wait(epoll, events, 8, -1); });
template <class Call>
auto interruptible_syscall(Call call) {
  const InterruptibleSyscalls scope;
  for (;;) {
    check_interrupts();
    const auto result = call();
    if (result != -1 || errno != EINTR) return result;
  }
}

}  // namespace underthread
