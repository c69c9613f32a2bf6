// How far a thread of `threading` has come: `Thread.start()` waits for an event that the new thread
// sets, and waits for ever where that fails before it (python/cpython#140746). So the starter waits
// here first, for that event or for the thread's failure, whichever comes, and raises the failure.
#pragma once

#include "cpython.h"

namespace underthread::python {

struct ModuleState;

/// The type of what starter and thread share; not for Python code. Null: a Python error is set.
PyTypeObject* make_beginning_type(PyObject* module);

/// Sets `beginning` to what is to be waited for, a reference, where `function` is the `_bootstrap`
/// of a Thread; else to null: whoever starts it waits for nothing. To be called before the thread
/// is there, so that all that can be refused is refused while nothing has been done.
/// @return false: a Python error is set
bool expect_beginning(const ModuleState& state, PyObject* function, PyObject*& beginning);

/// Undoes that: there is no thread. Takes the reference; keeps the Python error that is set.
void expect_nothing(PyObject* function, PyObject* beginning);

/// In the new thread, when its function has ended, and with the Python error by which it did, if it
/// did. If that was before it had begun the starter gets the error, and it is cleared. Keeps the
/// reference. Null: nothing.
void end_beginning(const ModuleState& state, PyObject* beginning);

/// In a thread that runs the `_bootstrap` of a Thread, when that has ended: `threading` lists it no
/// more, also where an exception from another thread came while it took itself out.
void forget_thread(PyObject* function);

/// In the starter: waits until the thread has begun. Takes the reference.
///
/// What a signal's handler raises meanwhile ends the wait. `Thread.start()` takes any Exception
/// that it gets here for a start that has failed, and forgets the thread, which will not do while
/// that lives: such a one is raised as soon as `start()` has left the line, in its own wait.
/// @param is_there  set to whether there is a thread, or was one that had begun
/// @return false: a Python error is set
bool wait_for_beginning(PyObject* function, PyObject* beginning, bool& is_there);

}  // namespace underthread::python
