// The main thread of the main interpreter, where signals' handlers run: who it is, and how it gets
// to know, at once, that something is due there.
//
// The interpreter only notes what is to run, and a main thread in a system call finds the note when
// that ends. So it is nudged (os/nudge.h), until it has looked: a pending call of the
// interpreter's, which it makes where it would run the handler, says so. In a wait of ours it is
// woken without a signal; it is nudged only if it has not looked a moment later. A thread that
// blocks the nudge's signal is not nudged, since a `sigwait` of the program's could take it.
//
// Its alarm is a timer of the kernel's, for its time limits in a program without other threads.
//
// Nothing is left: the timers go, and SIGURG has its default action again, when nothing is due.
#pragma once

#include <underthread/ident.h>

#include <cstdint>

#include "cpython/cpython.h"
#include "lot/thread_record.h"

namespace underthread::python {

struct Interrupts;

/// Reads UNDERTHREAD_PROMPT and UNDERTHREAD_NUDGE, at the first time. False: a Python error is set.
bool prepare_prompt_interrupts();
bool interrupts_are_prompt();
/// `underthread.prompt_interrupts([on])`: sets whether interrupts are prompt; says whether they
/// were.
PyObject* prompt_interrupts(PyObject* module, PyObject* arguments);

/// Whether this is the main thread in the main interpreter.
bool runs_handlers_here();
/// The main interpreter's state of this room, from when its module is whole; null: until it goes.
void set_main_interrupts(Interrupts* all);
Interrupts* main_interrupts();
/// In the main thread: who that is.
void learn_main_thread();
/// With the GIL of the main interpreter; 0: it is not known.
Ident main_ident();
/// Whether signals are the interpreter's to use: not where its host has kept them for itself.
bool may_use_signals();

/// The signal has its action back, unless somebody is nudged, or an alarm is set. lot::settings is
/// held.
void let_go_of_nudges();
/// The signal that nudges are sent with: what UNDERTHREAD_NUDGE says, else one that the program
/// does nothing about; 0: none is to be had. `nudged`: as for os::Nudge::claim.
int claim_nudge(void (*nudged)());

/// In the main thread, around a wait of ours: from `begin_wait` on it is woken there. A handler
/// that runs in the wait may wait as well, so the one before is kept: null: it was in none.
lot::ThreadRecord* begin_wait(lot::ThreadRecord& me);
void end_wait(lot::ThreadRecord* before);
/// What the main thread's wait is for, for the text of a limit that ends it, and the frame that
/// waits: a handler that runs meanwhile has one of its own.
struct MainWait {
  const char* what;  ///< null: it waits for nothing of ours
  const void* frame;
};
/// In the main thread. @return what it was before
MainWait set_main_wait(MainWait wait);
/// Wakes the main thread if it is in such a wait. What it is to find there is there already.
/// Async-signal-safe. @return false: it is in none
bool wake_main_thread();

/// Something is due in the mailbox of the main thread: sees to it that it is raised at its next
/// check, and that the check comes at once. Any thread of the main interpreter, with the GIL.
void tell_main_thread();
/// After the interpreter has noted that the handler of `signum` is to run: sees to it that the main
/// thread looks. Any thread with a thread state.
void hurry_main_thread(int signum);
/// Without the GIL: nudges the main thread, if it has not looked yet. @return false: it is not
/// clear yet whether it would take the nudge for a signal that somebody has sent
bool nudge_again();
/// In the main thread, which was woken from a wait of ours just as that ended by itself, so that it
/// has not looked: sees to it that it does.
void look_soon();
/// In the main thread, where it runs handlers: what has been sent so far is found from here on.
void have_looked();
/// In the main thread, at its check: false: what was due is raised.
bool raise_in_main_thread();
/// `function` is called at each such check, with the GIL, first. @return false: a Python error is
/// set
void call_at_check(bool (*function)());

/// In the main thread: sets its alarm to the first of its limits that has `by_timekeeper` unset;
/// none: puts it away. @return false: it cannot have one
bool set_alarm(Interrupts& all);
/// The same, where nothing but one limit has been added: it rings by then, or when it rings
/// already.
bool set_alarm_by(Interrupts& all, std::int64_t moment);
/// In the main thread, after a limit that was to be looked at then has been left.
void move_alarm(Interrupts& all, std::int64_t look_at);
/// In the main thread, which holds interrupts off, or does not any more: its alarm is silent
/// meanwhile.
void hold_alarm(bool holds);
/// In another thread: the main one does not hold them off any more, and is about to be told.
void let_alarm_ring();

/// Called behind the handler of a signal, in the thread that took it.
void signal_was_handled();

/// The interpreter ends: no alarm, no nudge, and the next one may have another main thread.
void forget_main_thread();

}  // namespace underthread::python
