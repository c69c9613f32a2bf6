// What the library sees of threads and locks, as Python objects: tuples, which
// underthread/_inspect.py gives names to.
#pragma once

#include <underthread/deadlock.h>
#include <underthread/snapshot.h>

#include <cstddef>

#include "cpython/cpython.h"

namespace underthread::python {

/// Where in its object a lock is: what an object is known by is its own address.
inline constexpr std::size_t lock_offset = sizeof(PyObject) + sizeof(PyObject*);

// Each returns a reference; null: a Python error is set. They run no Python code.

/// (ident, native id, name, is main, holds interrupts, wait or None), where the wait is (kind,
/// address of the lock or 0, its name, seconds so far, seconds left or None, ended by interrupts,
/// who must act: None, 0 for a thread that is no more, or an ident; only that thread can)
PyObject* thread_tuple(const ThreadSeen& thread);

/// (kind, address, name, is held, holder's ident or 0, scoped, how many wait, seconds held at
/// least)
PyObject* lock_tuple(const LockSeen& lock);

/// (kind, whether it ends at a thread that is no more, the threads)
PyObject* deadlock_tuple(const Deadlock& deadlock);

/// (kind, whether it ends at a thread that is no more, the threads' idents)
PyObject* deadlock_seen_tuple(const DeadlockSeen& deadlock);

/// The function `snapshot`: (threads, locks, deadlocks).
PyObject* snapshot(PyObject* module, PyObject*);

}  // namespace underthread::python
