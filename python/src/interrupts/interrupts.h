// Interrupts of one interpreter: what has been sent to its threads, what they hold off, and their
// time limits. One object owns it all; the module's state has it.
//
//   guard               the mutex of this room
//   mailbox             what is pending for a thread, and in which state
//   delivery            how it is sent, told, held off and raised
//   deadlines           the time limits in force in a mailbox, and what is sent when they are over
//   async_exception     how a thread other than the main one is told: PyThreadState_SetAsyncExc
//   main_thread         who the main thread is, and how it is told and woken
//   signal_wait         who is not nudged, since it would take the nudge for a signal of its own
//   reserved_signal     the number that tells it, also in system calls
//   signal_fronts       noting signals, in front of the C handlers that are in force
//   timekeeper          who looks when a time limit is over
//   hold_interrupts, time_limit, interrupt: what Python code calls
//
// Its life: made with the module; `learn` when it is first needed; `forget_in_child` in each fork's
// child; `forget_at_end` when the interpreter ends. Nothing of it begins or ends in another way.
#pragma once

#include <cstdint>

#include "cpython/cpython.h"
#include "interrupts/async_exception.h"
#include "interrupts/deadlines.h"
#include "interrupts/delivery.h"
#include "interrupts/mailbox.h"
#include "interrupts/signal_wait.h"
#include "state/module_state.h"

namespace underthread::python {

struct Interrupts {
  PyObject* module;  ///< borrowed: its state owns this
  PyInterpreterState* interpreter;
  PyTypeObject* hold_type;
  PyTypeObject* limit_type;

  // With the GIL, or in the thread that makes it.
  bool hears_of_forks;            ///< the interpreter calls us around `os.fork`
  bool hears_of_end;              ///< and at its end, by `atexit`
  bool hears_of_multiprocessing;  ///< that calls us in its children
  CodePlaces places;
  bool has_withdrawn;   ///< an exception that was told, and nobody has settled that since
  PyObject* nothing;    ///< the code for it; null: none yet
  PyObject* getsignal;  ///< `_signal.getsignal`, in the main interpreter; null: not asked for yet

  // Guarded by Guard, from here on.
  Interrupts* next;      ///< another interpreter's: a list
  Mailbox* mailboxes;    ///< of threads that have anything pending, held off or limited: a list
  AsyncClasses classes;  ///< what threads other than main are told of
  bool is_ended;         ///< nobody is told or timed any more
  unsigned visitors;     ///< the timekeeper is about to attach to this interpreter, or is attached
  std::uint32_t forks;   ///< by lot::fork_count: which process this is about
  Account account;       ///< what became of all that was sent
};

/// Makes it and its types, for a module that is being filled. @return false: a Python error is set
bool make_interrupts(PyObject* module);
int visit_interrupts(const ModuleState& state, visitproc visit, void* arg);
/// The module goes, or could not be filled.
void delete_interrupts(ModuleState& state);

/// Of the module that a type, or one of its bases, belongs to; null: a Python error is set.
Interrupts* interrupts_of(PyTypeObject* type);

/// To be called first wherever Python code comes to this room: from now on forks and the end of the
/// interpreter are heard of; in the main thread, a signal is reserved. What was left by a fork that
/// nobody told us of is put right. @return false: a Python error is set
bool learn(Interrupts& all);

/// In the child of a fork, in the thread that forked: that goes on, with what it holds off and its
/// limits, and nothing that was pending in the parent is raised here. Does nothing where it is done
/// already.
void forget_in_child(Interrupts& all);

/// The interpreter ends: nobody is told of anything any more, and none of its time limits is kept.
/// Waits, without the GIL, until the timekeeper has detached. Again: does nothing.
void forget_at_end(Interrupts& all);

/// `_underthread.account()`: a dict of counts, for tests: what was sent and became of it.
PyObject* account(PyObject* module, PyObject*);

}  // namespace underthread::python
