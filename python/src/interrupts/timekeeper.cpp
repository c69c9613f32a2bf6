#include "interrupts/timekeeper.h"

#include <underthread/lock.h>
#include <underthread/thread.h>

#include <algorithm>
#include <cstdint>
#include <new>

#include "cpython/errors.h"
#include "cpython/gil.h"
#include "interrupts/guard.h"
#include "interrupts/interrupts.h"
#include "interrupts/limit.h"
#include "interrupts/main_thread.h"
#include "lot/parking_lot.h"
#include "lot/thread_record.h"
#include "os/futex.h"
#include "os/signal_mask.h"

namespace underthread::python {
namespace {

/// How long it sleeps at most, and stays when no limit is in force: ns. Limits often come one
/// behind another, and are left before they are over: whoever enters one or leaves it wakes nobody,
/// unless it is over before it would look.
constexpr std::int64_t longest_sleep = 1'000'000'000;

/// Until it is looked at again what a main thread waits for that is to be nudged: ns.
constexpr std::int64_t first_pause_of_nudges = 100'000;
constexpr std::int64_t longest_pause_of_nudges = 20'000'000;

/// Between two looks whether it has ended or detached: ns.
constexpr std::int64_t moment = 100'000;

// Guarded by Guard.
constinit Interrupts* interpreters = nullptr;
/// Null: it does not run. Made by whoever starts it; joined and deleted by whoever stops it.
constinit Thread* thread = nullptr;
constinit bool is_running = false;  ///< `thread` has not said that it ends
constinit bool is_to_stop = false;
/// It is not started while there are any.
constinit unsigned forks_under_way = 0;
/// When the main thread is to be nudged, and how long it has taken; lot::never: it is not.
constinit std::int64_t nudge_at = lot::never;
constinit std::int64_t nudge_pause = 0;
constinit std::int64_t wakes_at = 0;  ///< at the latest: ns of the monotonic clock
/// It is released to have it look again; it holds it otherwise.
constinit Lock bell;

void ring() {
  Refusal none;
  if (bell.locked()) is_refused(none, [] { bell.give_up(Hold::bare); });
}

/// The interpreter that has a limit which is over, and is not about to end; it is visited from then
/// on. Null: none; `next` is when there will be.
Interrupts* find_due(std::int64_t now, std::int64_t& next) {
  next = lot::never;
  for (Interrupts* each = interpreters; each; each = each->next) {
    if (each->is_ended) continue;
    const std::int64_t first = first_deadline(*each, true);
    if (first <= now) {
      ++each->visitors;
      return each;
    }
    next = std::min(next, first);
  }
  return nullptr;
}

/// Tells the threads of an interpreter whose limits are over. Nothing here may need clearing: where
/// the interpreter ends without us, taking the GIL does not return.
void visit(Interrupts& all) {
  PyThreadState* const state = PyThreadState_New(all.interpreter);
  if (state) {
    PyEval_RestoreThread(state);
    expire_limits(all, os::now());
    PyThreadState_Clear(state);
    PyThreadState_DeleteCurrent();
  }
  const Guard guard;
  --all.visitors;
}

void sleep_until(std::int64_t until) {
  lot::Wait wait;
  wait.until = until;
  Refusal none;
  is_refused(none, [&] { bell.acquire_waiting(Hold::bare, wait); });
}

void keep() {
  Refusal none;
  is_refused(none, [] { static_cast<void>(bell.acquire(false)); });
  for (bool is_idle = false;;) {
    Interrupts* due = nullptr;
    std::int64_t until = 0;
    bool nudges = false;
    {
      const Guard guard;
      const std::int64_t now = os::now();
      std::int64_t next = 0;
      if (!is_to_stop) due = find_due(now, next);
      nudges = nudge_at <= now;
      if (nudges) nudge_at = lot::never;
      next = std::min(next, nudge_at);
      if (is_to_stop || (!due && !nudges && next == lot::never && is_idle)) {
        is_running = false;
        return;
      }
      until = wakes_at = std::min(next, now + longest_sleep);
      is_idle = !due && !nudges && next == lot::never;
    }
    if (nudges && !nudge_again()) {
      const Guard guard;
      nudge_pause = std::min(2 * nudge_pause, longest_pause_of_nudges);
      nudge_at = os::now() + nudge_pause;
    }
    if (due)
      visit(*due);
    else if (!nudges)
      sleep_until(until);
  }
}

/// Takes the handle of a thread that has said that it ends. Guard is held.
Thread* take_ended() {
  if (is_running) return nullptr;
  Thread* const ended = thread;
  thread = nullptr;
  return ended;
}

void join(Thread* ended) {
  if (!ended) return;
  without_gil([ended] {
    lot::Wait uninterrupted;
    ended->join_waiting(uninterrupted);
    delete ended;
  });
}

/// Starts it where it does not run. @return false: a Python error is set
bool start() {
  Thread* ended = nullptr;
  {
    const Guard guard;
    // What is in force is looked after once the fork is over.
    if (is_running || forks_under_way > 0) return true;
    ended = take_ended();
    if (!ended) {
      is_running = true;
      is_to_stop = false;
      wakes_at = 0;  // it will look before it sleeps
      // Whoever rang it, or was to hear it, may not be here.
      bell.at_fork_reinit();
    }
  }
  if (ended) {
    // This lets go of the GIL, so that all may have changed since.
    join(ended);
    return start();
  }
  Thread* started = nullptr;
  const bool is_started = !raises([&started] {
    const os::AllSignalsBlocked blocked;
    started = new Thread(ThreadOptions{.stack_size = 0, .name = "underthread"}, keep);
  });
  const Guard guard;
  thread = started;
  if (!is_started) is_running = false;
  return is_started;
}

}  // namespace

bool keep_time(std::int64_t look_at) {
  if (!start()) return false;
  const Guard guard;
  if (look_at < wakes_at) ring();
  return true;
}

void call_timekeeper() {
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  // Without one, what is left over waits until its thread comes by or something else is sent to it.
  if (!keep_time(os::now())) PyErr_Clear();
  PyErr_Restore(type, error, traceback);
}

void nudge_later() {
  const std::int64_t now = os::now();
  {
    const Guard guard;
    nudge_pause = first_pause_of_nudges;
    nudge_at = now + nudge_pause;
  }
  call_timekeeper();
}

void add_to_timekeeper(Interrupts& all) {
  const Guard guard;
  all.next = interpreters;
  interpreters = &all;
}

void remove_from_timekeeper(Interrupts& all) {
  const Guard guard;
  Interrupts** place = &interpreters;
  while (*place && *place != &all) place = &(*place)->next;
  if (*place) *place = all.next;
}

void await_timekeeper(Interrupts& all) {
  lot::ThreadRecord* const me = lot::current();
  for (;;) {
    {
      const Guard guard;
      if (all.visitors == 0) return;
    }
    without_gil([me] {
      lot::Wait wait;
      wait.until = os::now() + moment;
      if (me) lot::pass_time(*me, wait);
    });
  }
}

namespace {

/// Tells it to end. @return whether it has; `handle`: to be joined, by whoever gets it
bool has_ended(Thread*& handle) {
  const Guard guard;
  is_to_stop = true;
  handle = thread;
  thread = nullptr;
  ring();
  return !is_running;
}

}  // namespace

bool timekeeper_is_idle() {
  const Guard guard;
  return !interpreters;
}

void stop_timekeeper_for_fork() {
  {
    const Guard guard;
    ++forks_under_way;
  }
  stop_timekeeper();
}

void stop_timekeeper() {
  // Another thread may be stopping it, or starting it, at the same time.
  lot::ThreadRecord* const me = lot::current();
  for (;;) {
    Thread* handle = nullptr;
    const bool ended = has_ended(handle);
    join(handle);
    if (ended || handle) {
      const Guard guard;
      if (!is_running) return;
    }
    without_gil([me] {
      lot::Wait wait;
      wait.until = os::now() + moment;
      if (me) lot::pass_time(*me, wait);
    });
  }
}

void restart_timekeeper() {
  bool is_needed = false;
  {
    const Guard guard;
    if (forks_under_way > 0) --forks_under_way;
    for (const Interrupts* each = interpreters; each; each = each->next)
      is_needed = is_needed || (!each->is_ended && first_deadline(*each, true) != lot::never);
    is_needed = is_needed || nudge_at != lot::never;
  }
  if (is_needed && !start()) PyErr_WriteUnraisable(nullptr);
}

void forget_timekeeper() {
  // What is left of it in memory stays there.
  thread = nullptr;
  is_running = false;
  is_to_stop = false;
  forks_under_way = 0;
  nudge_at = lot::never;
}

}  // namespace underthread::python
