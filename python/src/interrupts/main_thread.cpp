#include "interrupts/main_thread.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <utility>

#include "interrupts/guard.h"
#include "interrupts/interrupts.h"
#include "interrupts/reserved_signal.h"
#include "interrupts/signal_wait.h"
#include "interrupts/thread_nudge.h"
#include "interrupts/timekeeper.h"
#include "lot/fork.h"
#include "os/futex.h"
#include "os/native_thread.h"
#include "os/nudge.h"
#include "os/signal_action.h"
#include "os/signal_mask.h"

namespace underthread::python {
namespace {

// Relaxed: a switch.
constinit std::atomic<bool> is_on{true};
// From the environment; 0: any. Relaxed: set while the module is loaded.
constinit std::atomic<int> wanted_signal{0};
constinit bool is_prepared = false;

constinit Interrupts* interrupts_of_main = nullptr;
// Relaxed: a function, set once.
constinit std::atomic<bool (*)()> at_check{nullptr};
// Relaxed: set with the GIL, before anybody can need it.
constinit std::atomic<bool> signals_are_ours{false};

// Of the interpreter's main thread; 0: not known. Relaxed: numbers on their own.
constinit std::atomic<std::uint64_t> main_native_id{0};
constinit std::atomic<Ident> known_main_ident{0};

/// The main thread's record while that thread is in a wait of ours, and not in a handler that runs
/// there; else null.
///
/// seq_cst: the main thread says that it is here and then looks for handlers that are due; whoever
/// notes one then looks whether it is here. One of them sees the other, also where there is no GIL
/// to order the two.
constinit std::atomic<lot::ThreadRecord*> main_in_wait{nullptr};

// The main thread's own.
constinit MainWait main_wait = {nullptr, nullptr};

// The rest is about nudges. Opened and put away under lot::settings.
constinit os::Nudge nudge;
constinit os::Nudge alarm;
// When the alarm is to ring, ns of the monotonic clock. Relaxed: the main thread's own, but for its
// signal handlers.
constinit std::atomic<std::int64_t> alarm_at{lot::never};
constinit std::atomic<bool> alarm_is_held{false};
constinit std::atomic<bool> alarm_has_tripped{false};

// A signal that another thread took has been followed by a nudge, which nobody has put away.
// Relaxed: a hint.
constinit std::atomic<bool> nudge_is_left{false};

// How many interrupts have been sent, and how many of them the main thread has looked for. It is
// nudged while the two differ. seq_cst: whoever sends counts and then looks whether a pending call
// is on its way; that says that it is gone and then looks at the count. One sees the other.
constinit std::atomic<std::uint64_t> sent{0};
constinit std::atomic<std::uint64_t> looked_for{0};
constinit std::atomic<bool> call_is_pending{false};

bool is_awaited() {
  return sent.load(std::memory_order_seq_cst) != looked_for.load(std::memory_order_seq_cst);
}

// In a signal handler.
void nudged() {
  if (os::thread_native_id() != main_native_id.load(std::memory_order_relaxed)) return;
  if (alarm_at.load(std::memory_order_relaxed) <= os::now()) {
    if (alarm_is_held.load(std::memory_order_relaxed)) {
      alarm.stop();
    } else {
      // Once: each time is a byte in the program's wakeup fd.
      if (!alarm_has_tripped.exchange(true, std::memory_order_relaxed))
        trip_main_thread_in_handler();
      wake_main_thread();
      alarm.again();
    }
  }
  if (is_awaited()) {
    // It may be in a wait of ours by now.
    wake_main_thread();
    nudge.again();
  } else {
    nudge.stop();
  }
}

// In the child of a fork: what was sent before was for the parent, whose the timers are too.
// Async-signal-safe.
void forget_parents() {
  looked_for.store(sent.load(std::memory_order_relaxed), std::memory_order_relaxed);
  call_is_pending.store(false, std::memory_order_relaxed);
  alarm_at.store(lot::never, std::memory_order_relaxed);
  alarm_is_held.store(false, std::memory_order_relaxed);
  // Who forks is in no wait of ours.
  main_in_wait.store(nullptr, std::memory_order_relaxed);
  main_wait = {nullptr, nullptr};
  forget_nudged_threads();
  main_native_id.store(os::thread_native_id(), std::memory_order_relaxed);
  known_main_ident.store(get_ident(), std::memory_order_relaxed);
}

/// In the main thread, which has looked for all that was sent. lot::settings is held.
void put_nudge_away() {
  nudge.put_away();
  // Blocked, a nudge would wait for somebody to take it for another's.
  os::Nudge::discard(nudge.signum());
  let_go_of_nudges();
}

/// Nudges the main thread, once or until it has looked, unless it would take the nudge for
/// another's. `waits`: what it waits for. @return false: that cannot be told yet
bool nudge_main_thread(SignalWait& waits, bool once) {
  const std::uint64_t native_id = main_native_id.load(std::memory_order_relaxed);
  if (native_id == 0 || !may_use_signals()) return true;
  const lot::Locked locked(lot::settings);
  // It may have looked by now, and put everything away.
  if (!once && !is_awaited()) return true;
  const int signum = claim_nudge(nudged);
  if (signum == 0 || waits.is_for(native_id, signum)) return true;
  if (waits.is_unclear()) return false;
  if (once) {
    os::Nudge::send_once(native_id, signum);
    return true;
  }
  nudge.aim_without_timer(native_id, signum);
  nudge.open();
  nudge.begin_here();
  return true;
}

/// In any thread with a thread state.
void nudge_main_thread(bool once) {
  const bool is_here =
      interrupts_of_main && PyInterpreterState_Get() == interrupts_of_main->interpreter;
  bool is_told = false;
  {
    SignalWait waits(is_here ? interrupts_of_main : nullptr, main_ident());
    is_told = nudge_main_thread(waits, once);
  }
  // It runs C code, or somebody else has its processor.
  if (!is_told) nudge_later();
}

// In the main thread, where it would run handlers.
int look(void*) {
  have_looked();
  if (is_finalizing()) return 0;
  // Some may have been noted since the interpreter ran handlers, just before this: all that were
  // counted above run now, since from here the way may lead into a system call without another
  // look.
  return PyErr_CheckSignals();
}

// Sees to it that the main thread calls `have_looked` where it runs handlers. False: it will not.
bool ask_to_look() {
  // A call would be the subinterpreter's, in whatever thread.
  if (pending_calls_are_the_interpreters_own &&
      PyInterpreterState_Get() != PyInterpreterState_Main())
    return trip_for_handlers();
  return Py_AddPendingCall(look, nullptr) == 0;
}

/// What is to be noticed has been noted. Wakes the main thread, or nudges it until it has looked.
void hurry() {
  // In a wait of ours it looks before it goes on.
  if (wake_main_thread()) return;
  // The main thread itself is on its way to where it looks.
  if (!is_on.load(std::memory_order_relaxed) || _PyOS_IsMainThread() || is_finalizing()) return;
  sent.fetch_add(1, std::memory_order_seq_cst);
  if (!call_is_pending.exchange(true, std::memory_order_seq_cst) && !ask_to_look()) {
    // No room for one more: the main thread has enough to look for.
    call_is_pending.store(false, std::memory_order_seq_cst);
    looked_for.store(sent.load(std::memory_order_seq_cst), std::memory_order_seq_cst);
    nudge_main_thread(true);
    return;
  }
  nudge_main_thread(false);
}

#if PY_VERSION_HEX >= 0x030D0000
Ident find_main_ident() {
  PyObject* const stock = interrupts_of_main ? state_of(interrupts_of_main->module).stock : nullptr;
  PyObject* const ident =
      stock ? PyObject_CallMethod(stock, "_get_main_thread_ident", nullptr) : nullptr;
  const Ident found = ident ? PyLong_AsUnsignedLong(ident) : 0;
  Py_XDECREF(ident);
  PyErr_Clear();
  return found;
}
#else
/// The oldest state of the main interpreter is the main thread's.
Ident find_main_ident() {
  // As often as it takes for the list to have been complete.
  Ident before = 0;
  for (;;) {
    await_thread_list();
    PyThreadState* oldest = PyInterpreterState_ThreadHead(PyInterpreterState_Main());
    while (PyThreadState* const next = oldest ? PyThreadState_Next(oldest) : nullptr) oldest = next;
    const Ident found = oldest ? oldest->thread_id : 0;
    if (found == before) return found;
    before = found;
  }
}
#endif

/// In the main thread: limits may have been raised, or wait for a block that was suspended.
void renew_alarm(Interrupts& all) {
  bool has_limit = alarm_at.load(std::memory_order_relaxed) != lot::never;
  if (!has_limit) {
    const Guard guard;
    has_limit = first_deadline(all, false) != lot::never;
  }
  if (has_limit) set_alarm(all);
}

std::uint64_t find_native_id(Ident ident) {
  std::uint64_t found = 0;
  lot::find(ident, [&](lot::ThreadRecord& record) {
    found = record.native_id.load(std::memory_order_relaxed);
  });
  // Where it has never come to us.
  return found != 0 ? found : os::native_id_of(ident);
}

/// What a switch in the environment says. @return false: none of the words
bool read_switch(const char* text, bool& value) {
  struct Word {
    std::string_view text;
    bool value;
  };
  constexpr std::array<Word, 9> words = {{{"", true},
                                          {"1", true},
                                          {"on", true},
                                          {"yes", true},
                                          {"true", true},
                                          {"0", false},
                                          {"off", false},
                                          {"no", false},
                                          {"false", false}}};
  std::string_view given(text ? text : "");
  const auto is_blank = [](char letter) { return letter == ' ' || letter == '\t'; };
  while (!given.empty() && is_blank(given.front())) given.remove_prefix(1);
  while (!given.empty() && is_blank(given.back())) given.remove_suffix(1);
  for (const Word& word : words) {
    const bool same = std::equal(
        given.begin(), given.end(), word.text.begin(), word.text.end(), [](char a, char b) {
          return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
        });
    if (!same) continue;
    value = word.value;
    return true;
  }
  return false;
}

/// Where `_thread` is built in it comes before there is anything to warn with.
bool warn(const char* text) {
  return !Py_IsInitialized() || PyErr_WarnEx(PyExc_RuntimeWarning, text, 1) == 0;
}

}  // namespace

bool prepare_prompt_interrupts() {
  lot::call_in_fork_child(forget_parents);
  if (_PyOS_IsMainThread() && PyInterpreterState_Get() == PyInterpreterState_Main())
    learn_main_thread();
  if (is_prepared) return true;
  is_prepared = true;
  bool on = true;
  if (!read_switch(std::getenv("UNDERTHREAD_PROMPT"), on) &&
      !warn("underthread: UNDERTHREAD_PROMPT is none of 0, off, no, false, 1, on, yes, true; "
            "interrupts are prompt"))
    return false;
  is_on.store(on, std::memory_order_relaxed);
  const int number = os::Nudge::number_wanted();
  if (number >= 0) {
    wanted_signal.store(number, std::memory_order_relaxed);
    return true;
  }
  if (!Py_IsInitialized()) return true;
  return PyErr_WarnFormat(
             PyExc_RuntimeWarning, 1,
             "underthread: UNDERTHREAD_NUDGE is no signal's number that can be used (1 to %d, but "
             "not "
             "those of faults, SIGKILL, SIGSTOP and the C library's own); one that nobody "
             "handles is used",
             os::last_signal()) == 0;
}

bool interrupts_are_prompt() {
  return is_on.load(std::memory_order_relaxed);
}

PyObject* prompt_interrupts(PyObject*, PyObject* arguments) {
  int on = -1;
  if (!PyArg_ParseTuple(arguments, "|p:prompt_interrupts", &on)) return nullptr;
  const bool was_on = on < 0 ? is_on.load(std::memory_order_relaxed)
                             : is_on.exchange(on != 0, std::memory_order_relaxed);
  return PyBool_FromLong(was_on);
}

bool runs_handlers_here() {
  return _PyOS_IsMainThread() && PyInterpreterState_Get() == PyInterpreterState_Main();
}

void set_main_interrupts(Interrupts* all) {
  interrupts_of_main = all;
  if (all) signals_are_ours.store(interpreter_has_signals(), std::memory_order_relaxed);
}

Interrupts* main_interrupts() {
  return interrupts_of_main;
}

void learn_main_thread() {
  if (known_main_ident.load(std::memory_order_relaxed) == get_ident() &&
      main_native_id.load(std::memory_order_relaxed) != 0)
    return;
  main_native_id.store(os::thread_native_id(), std::memory_order_relaxed);
  known_main_ident.store(get_ident(), std::memory_order_relaxed);
}

Ident main_ident() {
  const Ident known = known_main_ident.load(std::memory_order_relaxed);
  if (known != 0 || PyInterpreterState_Get() != PyInterpreterState_Main()) return known;
  const Ident found = find_main_ident();
  if (found != 0) {
    main_native_id.store(find_native_id(found), std::memory_order_relaxed);
    known_main_ident.store(found, std::memory_order_relaxed);
  }
  return found;
}

bool may_use_signals() {
  return signals_are_ours.load(std::memory_order_relaxed);
}

void let_go_of_nudges() {
  if (is_awaited() || threads_are_nudged() ||
      alarm_at.load(std::memory_order_relaxed) != lot::never)
    return;
  os::Nudge::let_go();
}

int claim_nudge(void (*nudged)()) {
  return os::Nudge::claim(wanted_signal.load(std::memory_order_relaxed), nudged, reserved_signal());
}

lot::ThreadRecord* begin_wait(lot::ThreadRecord& me) {
  // Here it needs none. Another thread may just be sending one: SIGURG is ignored then.
  if (nudge_is_left.load(std::memory_order_relaxed)) {
    nudge_is_left.store(false, std::memory_order_relaxed);
    const lot::Locked locked(lot::settings);
    let_go_of_nudges();
  }
  return main_in_wait.exchange(&me, std::memory_order_seq_cst);
}

void end_wait(lot::ThreadRecord* before) {
  main_in_wait.store(before, std::memory_order_seq_cst);
}

MainWait set_main_wait(MainWait wait) {
  return std::exchange(main_wait, wait);
}

bool wake_main_thread() {
  lot::ThreadRecord* const waiting = main_in_wait.load(std::memory_order_seq_cst);
  if (waiting) lot::interrupt(*waiting);
  return waiting != nullptr;
}

void tell_main_thread() {
  trip_main_thread();
  hurry();
}

void hurry_main_thread(int signum) {
  if (!is_on.load(std::memory_order_relaxed)) return;
  // Where the handler is default or ignored there is nothing to run.
  const os::SignalAction action = os::signal_action(signum);
  if (action == os::SignalAction::system_default || action == os::SignalAction::ignored) return;
  if (PyInterpreterState_Get() == PyInterpreterState_Main()) main_ident();
  hurry();
}

bool nudge_again() {
  SignalWait waits(nullptr, 0);
  return nudge_main_thread(waits, false);
}

void look_soon() {
  if (!is_on.load(std::memory_order_relaxed) || !may_use_signals() || is_finalizing()) return;
  sent.fetch_add(1, std::memory_order_seq_cst);
  if (!call_is_pending.exchange(true, std::memory_order_seq_cst) && !ask_to_look()) {
    call_is_pending.store(false, std::memory_order_seq_cst);
    looked_for.store(sent.load(std::memory_order_seq_cst), std::memory_order_seq_cst);
    return;
  }
  // It looks before it makes a system call, but for C code that waits with a lock of ours and then
  // in the system, and a child of a fork on 3.13.0, whose eval loop does not look.
  const lot::Locked locked(lot::settings);
  const int signum = claim_nudge(nudged);
  if (signum == 0 || !nudge.aim(main_native_id.load(std::memory_order_relaxed), signum)) return;
  nudge.open();
  nudge.begin_later();
}

void have_looked() {
  const std::uint64_t now = sent.load(std::memory_order_seq_cst);
  call_is_pending.store(false, std::memory_order_seq_cst);
  if (looked_for.exchange(now, std::memory_order_seq_cst) == now) return;
  const lot::Locked locked(lot::settings);
  if (is_awaited()) return;
  put_nudge_away();
}

void call_at_check(bool (*function)()) {
  at_check.store(function, std::memory_order_relaxed);
}

bool raise_in_main_thread() {
  auto* const function = at_check.load(std::memory_order_relaxed);
  if (function && !function()) {
    // What else is due is raised behind what the function has raised.
    trip_main_thread();
    return false;
  }
  if (!interrupts_of_main) return true;
  const bool waits = main_wait.what && main_wait.frame == running_frame();
  const bool well = raise_due(*interrupts_of_main, waits ? main_wait.what : nullptr);
  renew_alarm(*interrupts_of_main);
  return well;
}

namespace {

/// @param first  when it is to ring; lot::never: it is put away. @return false: it cannot be had
bool set_alarm_to(std::int64_t first, bool is_ended) {
  const lot::Locked locked(lot::settings);
  if (first == lot::never) {
    if (alarm_at.exchange(lot::never, std::memory_order_relaxed) == lot::never) return !is_ended;
    alarm.put_away();
    let_go_of_nudges();
    return !is_ended;
  }
  // A real-time signal would end the process if the program resets its handler meanwhile; SIGURG is
  // ignored then.
  const int signum = may_use_signals() ? claim_nudge(nudged) : 0;
  learn_main_thread();
  if (signum != SIGURG || os::this_thread_blocks(signum) ||
      !alarm.aim(main_native_id.load(std::memory_order_relaxed), signum)) {
    if (signum == SIGURG) let_go_of_nudges();
    return false;
  }
  alarm_at.store(first, std::memory_order_relaxed);
  alarm_has_tripped.store(false, std::memory_order_relaxed);
  alarm.open();
  alarm.begin_once_at(first);
  return true;
}

}  // namespace

bool set_alarm(Interrupts& all) {
  std::int64_t first = lot::never;
  bool is_ended = false;
  {
    const Guard guard;
    is_ended = all.is_ended;
    first = is_ended ? lot::never : first_deadline(all, false);
  }
  return set_alarm_to(first, is_ended);
}

bool set_alarm_by(Interrupts& all, std::int64_t moment) {
  const std::int64_t set_to = alarm_at.load(std::memory_order_relaxed);
  // Without it, or where it has rung, what else there is has to be looked for.
  if (set_to == lot::never || set_to <= os::now() || all.is_ended) return set_alarm(all);
  return set_alarm_to(std::min(set_to, moment), false);
}

void move_alarm(Interrupts& all, std::int64_t look_at) {
  const std::int64_t set_to = alarm_at.load(std::memory_order_relaxed);
  // It was not the first, or there is none.
  if (set_to != lot::never && look_at <= set_to) set_alarm(all);
}

void hold_alarm(bool holds) {
  alarm_is_held.store(holds, std::memory_order_relaxed);
  if (!holds && interrupts_of_main) renew_alarm(*interrupts_of_main);
}

void let_alarm_ring() {
  alarm_is_held.store(false, std::memory_order_relaxed);
}

void signal_was_handled() {
  if (!is_on.load(std::memory_order_relaxed)) return;
  const std::uint64_t native_id = main_native_id.load(std::memory_order_relaxed);
  if (wake_main_thread() || native_id == 0 || os::thread_native_id() == native_id) return;
  // The main thread may be in a system call, which no signal is going to end.
  const int signum = may_use_signals() ? claim_nudge(nudged) : 0;
  if (signum != 0 && os::waits_for(native_id, signum, 1) != os::WaitsFor::the_signal) {
    nudge_is_left.store(true, std::memory_order_relaxed);
    os::Nudge::send_once(native_id, signum);
  }
}

void forget_main_thread() {
  const lot::Locked locked(lot::settings);
  alarm_at.store(lot::never, std::memory_order_relaxed);
  alarm.put_away();
  nudge.put_away();
  os::Nudge::let_go();
  looked_for.store(sent.load(std::memory_order_seq_cst), std::memory_order_seq_cst);
  call_is_pending.store(false, std::memory_order_seq_cst);
  main_native_id.store(0, std::memory_order_relaxed);
  known_main_ident.store(0, std::memory_order_relaxed);
  alarm_is_held.store(false, std::memory_order_relaxed);
  // The next one reads the environment anew.
  is_prepared = false;
}

}  // namespace underthread::python
