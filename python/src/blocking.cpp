#include "blocking.h"

#include <underthread/deadline.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "errors.h"
#include "inbox.h"
#include "lot/parking_lot.h"
#include "lot/thread_record.h"
#include "signal_slot.h"

namespace underthread::python {
namespace {

/// The main thread's record while that thread is in `block`, and not in a handler that runs there;
/// else null. In the child of a fork it may still name a thread that is not there: waking that is
/// harmless, since a record stays readable for ever and whoever uses it next only looks around once
/// more.
///
/// seq_cst: the main thread says that it is here and then looks for handlers that are due; whoever
/// notes one then looks whether it is here. One of them sees the other, also where there is no GIL
/// to order the two.
constinit std::atomic<lot::ThreadRecord*> main_in_block{nullptr};

/// Runs the handlers that are due. Meanwhile the main thread waits for whatever they do, and is not
/// to be woken as from a wait of ours. @return false: one raised
bool run_handlers(lot::ThreadRecord& me) {
  main_in_block.store(nullptr, std::memory_order_seq_cst);
  const bool well = Py_MakePendingCalls() == 0;
  main_in_block.store(&me, std::memory_order_seq_cst);
  // For what was noted before whoever did could find us here.
  return well && Py_MakePendingCalls() == 0;
}

/// A main thread that has waited for so long looks to it that signals wake it: ns. To look costs as
/// much as some waits, so a short one goes without; what it misses is noticed then.
///
/// Not sooner: for a deadline before the kernel's next tick it sets the processor's timer, and sets
/// it back when the wait ends. With 1 ms that was 6 of the 61 us of a start and join; from 5 ms on
/// nothing.
constexpr std::int64_t time_to_watch = 10'000'000;

/// Waits as `block` says. A thread that runs handlers can be found as `main_in_block` meanwhile.
Blocked wait_for(lot::ThreadRecord& me, bool runs_handlers, lot::Wait& wait,
                 lot::Callback<lot::WaitEnd(lot::Wait&)> park) {
  // A signal may have come before we let go of the GIL; its handler would have to wait as long as
  // we do, and no system call is going to be interrupted by it any more.
  if (runs_handlers && !run_handlers(me)) return Blocked::raised;
  const std::int64_t until = wait.until;
  if (runs_handlers)
    wait.until = std::min(until, moment_in(std::chrono::nanoseconds(time_to_watch)));
  for (;;) {
    lot::WaitEnd end = lot::WaitEnd::timed_out;
    Refusal refusal;
    without_gil([&] { is_refused(refusal, [&] { end = park(wait); }); });
    if (refusal.type) {
      refusal.raise();
      return Blocked::raised;
    }
    if (end == lot::WaitEnd::done) return Blocked::done;
    if (end == lot::WaitEnd::timed_out) {
      if (wait.until == until) return Blocked::timed_out;
      if (!watch_signals()) return Blocked::raised;
      wait.until = until;
    } else {
      // Taken before the handlers run: an interrupt that comes while they do ends the next wait.
      lot::take_pending(me);
    }
    if (!(runs_handlers ? run_handlers(me) : raise_sent_here())) return Blocked::raised;
  }
}

#if UNDERTHREAD_HAS_GIL
/// True since a thread let go of the GIL in here, until one got it in here. Not the truth: others
/// take it and let it go without us. relaxed: only to look at.
constinit std::atomic<bool> gil_seems_free{false};
constinit thread_local lot::SpinMemory spinning_for_gil;

/// Whoever wakes a thread often has the GIL, and needs it for a few microseconds more before it
/// waits itself. To take the GIL meanwhile would be a second sleep, so it is given a moment.
void await_gil() {
  lot::Spin spin(spinning_for_gil, true);
  while (!gil_seems_free.load(std::memory_order_relaxed))
    if (!spin.once()) return spin.failed();
  spin.succeeded();
}
#endif

}  // namespace

bool runs_handlers_here() {
  return _PyOS_IsMainThread() && PyInterpreterState_Get() == PyInterpreterState_Main();
}

void without_gil(lot::Callback<void()> wait) {
  PyThreadState* const state = PyEval_SaveThread();
#if UNDERTHREAD_HAS_GIL
  gil_seems_free.store(true, std::memory_order_relaxed);
  wait();
  await_gil();
  PyEval_RestoreThread(state);
  gil_seems_free.store(false, std::memory_order_relaxed);
#else
  wait();
  PyEval_RestoreThread(state);
#endif
}

Blocked block(std::int64_t patience, Handlers handlers, const char* at_the_end,
              lot::Callback<lot::WaitEnd(lot::Wait&)> park) {
  if (at_the_end && is_finalizing()) {
    refuse_at_the_end(at_the_end);
    return Blocked::raised;
  }
  lot::Wait wait;
  if (patience != lot::never) wait.until = moment_in(std::chrono::nanoseconds(patience));

  lot::ThreadRecord* const me = lot::current();
  if (!me) {
    PyErr_NoMemory();
    return Blocked::raised;
  }
  if (handlers == Handlers::wait) return wait_for(*me, false, wait, park);
  if (!runs_handlers_here()) {
    wait.wake_for = lot::WakeFor::interrupts;
    return raise_sent_here() ? wait_for(*me, false, wait, park) : Blocked::raised;
  }

  wait.wake_for = lot::WakeFor::interrupts_and_signals;
  // A handler that runs in this wait may wait as well: what it finds here it leaves here.
  lot::ThreadRecord* const outer = main_in_block.exchange(me, std::memory_order_seq_cst);
  const Blocked end = wait_for(*me, true, wait, park);
  main_in_block.store(outer, std::memory_order_seq_cst);
  return end;
}

bool pause_for_others() {
  constexpr std::int64_t moment = 50'000;  // ns
  return block(moment, Handlers::run, nullptr, [](lot::Wait& wait) {
           lot::ThreadRecord* const me = lot::current();
           return me ? lot::pass_time(*me, wait) : lot::WaitEnd::timed_out;
         }) != Blocked::raised;
}

bool wake_main_thread() {
  lot::ThreadRecord* const waiting = main_in_block.load(std::memory_order_seq_cst);
  if (waiting) lot::interrupt(*waiting);
  return waiting != nullptr;
}

}  // namespace underthread::python
