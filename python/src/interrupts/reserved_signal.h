// The reserved signal: a real-time number by which the main thread is told of an exception. It is
// never sent, and its action is left as it was: only the interpreter's own table has a handler of
// ours for it (what `signal.getsignal` shows). To tell the main thread is to call the interpreter's
// C handler with it, which notes that ours is to run: so the main thread runs it wherever it would
// notice Ctrl-C, in system calls too, and raises there what is due.
//
// The table is the program's: whether the entry is still ours is looked up before each use, and
// where it is not, another number is reserved when the main thread comes by. Until then, and where
// there is none, a pending call of the interpreter's does the same, which system calls do not
// notice.
#pragma once

#include "cpython/cpython.h"

namespace underthread::python {

/// In the main thread of the main interpreter; in any other, does nothing. Where no number is to be
/// had: nothing. @return false: a Python error is set, by the handler of a signal that had come
bool reserve_signal();

/// Whether a handler, of those that Python's table has, is ours.
bool is_reserved(PyObject* handler);
/// A program that has saved all handlers and set them again has given the number an action: the
/// interpreter's C handler. Makes it the default again.
void restore_reserved_action();

/// The number; 0: none.
int reserved_signal();

/// The interpreter ends: Python's table, and the action, are as if there had been none.
void give_back_reserved_signal();

/// Has the main thread run `raise_in_main_thread` at its next check. Any thread of the main
/// interpreter, with the GIL.
void trip_main_thread();

/// The same in a signal handler of the main thread, where nothing can be looked up.
void trip_main_thread_in_handler();

/// Has the main thread run handlers that are due, from any interpreter. @return false: no number is
/// reserved
bool trip_for_handlers();

}  // namespace underthread::python
