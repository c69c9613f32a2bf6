#include "blocking.h"

#include <underthread/deadline.h>

#include <chrono>

#include "errors.h"
#include "lot/thread_record.h"

namespace underthread::python {
namespace {

/// The main thread's record while that thread is in `block`, else null. Guarded by the GIL. In the
/// child of a fork it may still name a thread that is not there: waking that is harmless, since a
/// record stays readable for ever and whoever uses it next only looks around once more.
lot::ThreadRecord* main_in_block = nullptr;

}  // namespace

Blocked block(std::int64_t patience, Handlers handlers,
              lot::Callback<lot::WaitEnd(lot::Wait&)> park) {
  lot::Wait wait;
  if (patience != lot::never) wait.until = moment_in(std::chrono::nanoseconds(patience));

  // Handlers run in one thread only, so every other one would wake up for nothing.
  const bool runs_handlers = handlers == Handlers::run && _PyOS_IsMainThread();
  if (runs_handlers) {
    wait.wake_for = lot::WakeFor::interrupts_and_signals;
    // A signal may have come before we let go of the GIL; its handler would have to wait as long as
    // we do, and no system call is going to be interrupted by it any more.
    if (Py_MakePendingCalls() < 0) return Blocked::raised;
  }

  for (;;) {
    lot::WaitEnd end = lot::WaitEnd::timed_out;
    Refusal refusal;
    lot::ThreadRecord* const me = lot::current();
    if (runs_handlers) main_in_block = me;

    PyThreadState* const state = PyEval_SaveThread();
    is_refused(refusal, [&] { end = park(wait); });
    PyEval_RestoreThread(state);

    if (runs_handlers) main_in_block = nullptr;
    if (refusal.type) {
      refusal.raise();
      return Blocked::raised;
    }
    if (end == lot::WaitEnd::done) return Blocked::done;
    if (end == lot::WaitEnd::timed_out) return Blocked::timed_out;
    // Taken before the handlers run: an interrupt that comes while they do ends the next wait.
    lot::take_pending(*me);
    if (Py_MakePendingCalls() < 0) return Blocked::raised;
  }
}

void wake_main_thread() {
  if (main_in_block) lot::interrupt(*main_in_block);
}

}  // namespace underthread::python
