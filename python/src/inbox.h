// What has been sent to Python threads to be raised there: exceptions, first sent first.
//
//   queued   in the thread's inbox
//   armed    the first one, while nothing is held off: the interpreter has been told, and raises it
//            where it looks around. A thread that is not the main one gets it by
//            PyThreadState_SetAsyncExc, which has room for one exception, and only for a class: so
//            it is told of a class of our own, as carrier.h says.
//            The main thread gets a note for our signal slot, whose handler raises, since only that
//            is noticed in system calls.
//   raised   it is in no inbox any more
//
// With the GIL; without one, all of it under one mutex.
#pragma once

#include <underthread/ident.h>

#include <cstdint>

#include "cpython.h"
#include "lot/callback.h"

namespace underthread::python {

struct ModuleState;

/// Guards all inboxes, and what is to change together with one. No Python code runs under it.
#if UNDERTHREAD_HAS_GIL
struct InboxGuard {
  InboxGuard() {}  // not the compiler's own: it would be an unused variable
};
#else
class InboxGuard {
 public:
  InboxGuard();
  ~InboxGuard();
  InboxGuard(const InboxGuard&) = delete;
  InboxGuard& operator=(const InboxGuard&) = delete;
};
#endif

/// Names one exception that was sent; 0: none.
using Token = std::uint64_t;

/// Sends an exception, a class or an instance, to the thread of that ident.
/// @param is_wanted  asked once and last, under the guard: whether it is still to be sent. It goes
/// by that token, also where it is not sent in the end: to take it back is then nothing
/// @return whether it was sent; false: there is no such thread in this interpreter, or it is not
/// wanted, or, if `PyErr_Occurred()`, an error
bool send(PyObject* module, Ident ident, PyObject* exception, lot::Callback<bool(Token)> is_wanted);

/// Takes the first one out of this thread's inbox, by its carrier, and makes an instance of it; of
/// `otherwise` where that is not there. @return a reference; null: a Python error is set. A class
/// may make something that is no exception
PyObject* take_sent(PyObject* module, const PyObject* carrier, PyObject* otherwise);

/// Takes one back that was sent to this thread, if it has not been raised.
void take_back(ModuleState& state, Token token);

/// Holds off what is sent to this thread. Nests. @return false: a Python error is set, and nothing
/// is held
bool hold_sent(ModuleState& state);
/// The end of that. If it was the last, the first of what had been sent is raised now, or where
/// this thread looks around next. @return false: it is raised now
bool release_sent(ModuleState& state, bool raise_now);

/// In the main thread, where our signal slot is handled: false: what was sent to it is raised.
bool raise_sent_to_main();

/// In any thread, in a wait: false: the interpreter has been told of an exception, and it is
/// raised.
bool raise_sent_here();

/// A thread's last act, with its state: what it has not raised is dropped.
void forget_inbox(ModuleState& state);
/// The module goes.
void forget_inboxes(ModuleState& state);

}  // namespace underthread::python
