#include "waits/blocking.h"

#include <underthread/deadline.h>

#include <algorithm>
#include <chrono>

#include "cpython/errors.h"
#include "cpython/gil.h"
#include "inspect/deadlock_handler.h"
#include "inspect/dump_request.h"
#include "interrupts/interrupts.h"
#include "interrupts/main_thread.h"
#include "interrupts/reserved_signal.h"
#include "interrupts/signal_fronts.h"
#include "lot/thread_record.h"
#include "state/module_state.h"

namespace underthread::python {
namespace {

/// Runs the handlers that are due. Meanwhile the main thread waits for whatever they do, and is not
/// to be woken as from a wait of ours. @return false: one raised
bool run_handlers(lot::ThreadRecord& me) {
  end_wait(nullptr);
  const bool well = Py_MakePendingCalls() == 0;
  begin_wait(me);
  // For what was noted before whoever did could find us here.
  return well && Py_MakePendingCalls() == 0;
}

/// While this exists the thread's last wait, which it goes on with, is what it waits for in the
/// eyes of whoever looks from its handlers.
class LeftWait {
 public:
  LeftWait(lot::ThreadRecord& me, bool is_known) : me_(me), outer_(me.left_wait), wait_(me.waiter) {
    me.left_wait = is_known ? &wait_ : nullptr;
  }
  ~LeftWait() { me_.left_wait = outer_; }
  LeftWait(const LeftWait&) = delete;
  LeftWait& operator=(const LeftWait&) = delete;

 private:
  lot::ThreadRecord& me_;
  const lot::Waiter* const outer_;
  const lot::Waiter wait_;
};

/// A main thread that has waited for so long sees to it that signals which other threads take wake
/// it: ns. That costs as much as some waits, so a short one goes without; what it misses is noticed
/// then.
///
/// Not sooner: for a deadline before the kernel's next tick it sets the processor's timer, and sets
/// it back when the wait ends. With 1 ms that was 6 of the 61 us of a start and join; from 5 ms on
/// nothing.
constexpr std::int64_t time_to_watch = 10'000'000;

/// What a thread does beside its wait.
enum class Beside : std::uint8_t {
  nothing,         ///< `Handlers::wait`
  interrupts,      ///< it raises what was sent to it
  stock_handlers,  ///< the main thread, with prompt interrupts off: as on stock CPython its
                   ///< handlers run when a signal ends its sleep
  handlers,        ///< the main thread: it can be found and woken meanwhile
};

Blocked wait_for(const ModuleState& state, lot::ThreadRecord& me, Beside beside,
                 const WaitedFor& waited_for, lot::Wait& wait,
                 lot::Callback<lot::WaitEnd(lot::Wait&)> park) {
  // The module may have gone already, at the very end.
  Interrupts* const all = state.interrupts;
  // A signal may have come before we let go of the GIL; its handler would have to wait as long as
  // we do, and no system call is going to be interrupted by it any more.
  if (beside == Beside::handlers && !run_handlers(me)) return Blocked::raised;
  const std::int64_t until = wait.until;
  std::int64_t watch = beside == Beside::handlers
                           ? deadline_after(std::chrono::nanoseconds(time_to_watch))
                           : lot::never;
  for (;;) {
    if (beside != Beside::nothing) {
      if (!raise_due(*all, waited_for.what)) return Blocked::raised;
      // Its time limit ends the wait, whoever else looks after that.
      wait.over = std::min(until, next_limit(*all));
      wait.until = std::min(wait.over, watch);
    }
    lot::WaitEnd end = lot::WaitEnd::timed_out;
    Refusal refusal;
    const std::uint64_t waits_before = me.waiter.number;
    without_gil([&] { is_refused(refusal, [&] { end = park(wait); }); });
    if (refusal.type) {
      refusal.raise();
      return Blocked::raised;
    }
    if (end == lot::WaitEnd::done) {
      // What has come keeps what it was given; the handlers run behind the call.
      if (beside == Beside::handlers && lot::take_pending(me)) look_soon();
      return Blocked::done;
    }
    if (end == lot::WaitEnd::deadlock) {
      if (!tell_deadlock(state, me)) return Blocked::raised;
      continue;
    }
    if (end == lot::WaitEnd::timed_out) {
      if (wait.until == until) return Blocked::timed_out;
      if (wait.until == watch) {
        put_fronts();
        restore_reserved_action();
        // A worker may have been the first to use anything of ours.
        if (!reserve_signal()) return Blocked::raised;
        watch = lot::never;
      }
    } else {
      // Taken before the handlers run: an interrupt that comes while they do ends the next wait.
      lot::take_pending(me);
    }
    // One that was interrupted before it stood in a queue is not known.
    const LeftWait left(me, me.waiter.number != waits_before);
    if (end == lot::WaitEnd::interrupted && !make_requested_dumps(state)) return Blocked::raised;
    if (beside == Beside::handlers) {
      if (!run_handlers(me)) return Blocked::raised;
      // A handler may have set handlers, which have no fronts.
      if (watch == lot::never && end == lot::WaitEnd::interrupted) put_fronts();
    }
    if (beside == Beside::stock_handlers && Py_MakePendingCalls() != 0) return Blocked::raised;
  }
}

}  // namespace

Blocked block(const ModuleState& state, std::int64_t patience, Handlers handlers,
              const WaitedFor& waited_for, lot::Callback<lot::WaitEnd(lot::Wait&)> park) {
  if (waited_for.at_the_end && is_finalizing()) {
    refuse_at_the_end(waited_for.at_the_end);
    return Blocked::raised;
  }
  lot::Wait wait;
  if (patience != lot::never) wait.until = deadline_after(std::chrono::nanoseconds(patience));

  lot::ThreadRecord* const me = lot::current();
  if (!me) {
    PyErr_NoMemory();
    return Blocked::raised;
  }
  if (handlers == Handlers::wait || !state.interrupts)
    return wait_for(state, *me, Beside::nothing, waited_for, wait, park);
  wait.tells_deadlock = deadlocks_are_told(state);
  if (!runs_handlers_here()) {
    wait.wake_for = lot::WakeFor::interrupts;
    return wait_for(state, *me, Beside::interrupts, waited_for, wait, park);
  }
  wait.wake_for = lot::WakeFor::interrupts_and_signals;
  // A handler that runs in this wait may wait as well: what it finds here it leaves here.
  const Beside beside = interrupts_are_prompt() ? Beside::handlers : Beside::stock_handlers;
  lot::ThreadRecord* const outer = begin_wait(*me);
  const MainWait outer_for = set_main_wait({waited_for.what, running_frame()});
  const Blocked end = wait_for(state, *me, beside, waited_for, wait, park);
  set_main_wait(outer_for);
  end_wait(outer);
  return end;
}

}  // namespace underthread::python
