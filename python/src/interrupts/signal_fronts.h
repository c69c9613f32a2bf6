// Signals that have a handler in Python, and what the main thread does before it: notes them while
// interrupts are held off, and notices them in its waits whichever thread takes them. By a function
// in front of the C handler that is in force (os/signal_front.h): Python's table, what
// `signal.getsignal` shows, is only read.
#pragma once

#include "cpython/cpython.h"

namespace underthread::python {

/// What Python's table has for a signal, a reference; null: nothing, or it cannot be read, and no
/// error. In the main interpreter.
PyObject* python_handler(int signum);

/// In the main thread: each signal that has a handler in Python by now has a front. To be called
/// again where one matters: a handler that is set later has none.
void put_fronts();

/// In the main thread: from now on signals that have a handler in Python are noted.
void hold_python_signals();
/// For `interrupt_main`: notes the interrupt if the main thread holds signals off. @return false:
/// it does not
bool note_held_interrupt(int signum);
/// The end of that: each that has come is handed to the handler that is in force now, once, and
/// handlers in Python run. @return false: one of them raised
bool release_python_signals();
/// The same in another thread, on behalf of the main one, where the handlers run.
void release_signals_of_main_thread();

/// The interpreter ends, in a block that is never left.
void end_hold_of_python_signals();

/// In the child of a fork: what has come is the parent's. `holds`: the thread that forked goes on
/// holding signals off. Async-signal-safe.
void forget_held_signals(bool holds);

}  // namespace underthread::python
