// What one interpreter has of the module. Each part is described, and changed, by the room that it
// belongs to.
#pragma once

#include <atomic>

#include "cpython/cpython.h"
#include "state/start_gate.h"

namespace underthread::python {

struct Interrupts;
class ThreadHandle;

struct ModuleState {
  PyObject* stock;  ///< the interpreter's own `_thread`
  PyTypeObject* lock_type;
  PyTypeObject* rlock_type;
  PyTypeObject* local_type;
  PyTypeObject* locals_type;
  PyTypeObject* handle_type;  ///< null where threads have no handles
  PyObject* locals_key;       ///< of a thread's ThreadLocals in the dict that it has of itself
  bool threads_are_allowed;   ///< false: an isolated subinterpreter, which may start none
  /// What is called for a deadlock; null: none is looked for. inspect/deadlock_handler.h
  PyObject* deadlock_handler;
  /// What makes a dump that was asked for by a signal; null: none is. inspect/dump_request.h
  PyObject* dump_handler;
  /// Ours that run, or are about to. Relaxed: a number on its own.
  std::atomic<Py_ssize_t> threads;
  StartGate starts;
  /// Handles of threads that the interpreter waits for at its end: a list, as
  /// threads/thread_handle.h says.
  ThreadHandle* awaited;
  /// As interrupts/interrupts.h says. Null until the module is whole, and when it has gone.
  Interrupts* interrupts;
};

ModuleState& state_of(PyObject* module);

/// The state of the module that a type, or one of its bases, belongs to; null: a Python error is
/// set.
ModuleState* state_of(PyTypeObject* type);

}  // namespace underthread::python
