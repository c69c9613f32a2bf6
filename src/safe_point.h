// A wait that is a safe point: what every blocking function with Python's semantics does.
#pragma once

#include <underthread/interrupt.h>
#include <underthread/lot/wait.h>

#include <algorithm>
#include <cstdint>

#include "current_thread.h"
#include "due_limit.h"
#include "found_deadlock.h"

namespace underthread {

/// True while nothing may be thrown into this thread: a HoldInterrupts exists, or the stack is
/// being unwound, where a second exception would end the process.
bool interrupts_are_held(const lot::ThreadRecord& me) noexcept;

/// Delivers what is due, then calls `attempt(me, wait)`, which waits as `wait` says, until it ends
/// in something other than interrupted; delivers each interrupt in between. The deadline and the
/// place in the queue survive (PEP 475). False: timed out.
template <class Attempt>
bool wait_at_safe_point(std::int64_t until, Attempt attempt) {
  lot::ThreadRecord& me = current_thread();
  lot::Wait wait{.until = until, .tells_deadlock = deadlocks_are_told()};
  for (;;) {
    check_interrupts();
    const bool held = interrupts_are_held(me);
    wait.wake_for = held ? lot::WakeFor::nothing : lot::WakeFor::interrupts;
    // A limit that is over before is told at the next turn.
    wait.until = held || !me.is_limited ? until : std::min(until, limit_until(me));
    const lot::WaitEnd end = attempt(me, wait);
    if (end == lot::WaitEnd::done) return true;
    if (end == lot::WaitEnd::timed_out && wait.until == until) return false;
    if (end == lot::WaitEnd::deadlock) tell_deadlock(me);
  }
}

/// The same for a wait that is none.
template <class Attempt>
bool wait_until(std::int64_t until, Attempt attempt) {
  lot::Wait wait{.until = until, .tells_deadlock = deadlocks_are_told()};
  for (;;) {
    const lot::WaitEnd end = attempt(wait);
    if (end != lot::WaitEnd::deadlock) return end == lot::WaitEnd::done;
    tell_deadlock(current_thread());
  }
}

}  // namespace underthread
