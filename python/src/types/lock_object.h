// `_thread.lock`: an underthread::Lock, and what the interpreter believes of it.
#pragma once

#include "cpython/cpython.h"

namespace underthread::python {

/// The type `_thread.lock`; null: a Python error is set.
PyTypeObject* make_lock_type(PyObject* module, PyObject* stock);

/// A new lock, unlocked; null: a Python error is set.
PyObject* new_lock(PyTypeObject* lock_type);

/// From now on the lock is a thread's sentinel: whoever is interrupted waiting for it may ask
/// `locked()` whether it has acquired it.
void make_sentinel(PyObject* lock);

/// Releases a lock that this thread has acquired by `with` and will not leave any more. Any other
/// lock, or object, stays as it is. Never fails and runs no Python code.
void release_if_mine(PyTypeObject* lock_type, PyObject* lock);

/// Releases a lock if it is held. Never fails and runs no Python code.
void release_if_held(PyObject* lock);

}  // namespace underthread::python
