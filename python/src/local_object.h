// `_thread._local`: an object with other attributes in every thread.
//
// Each thread that uses a local has a part of it: the dict of its attributes there. The local owns
// the dicts, so that the collector sees a cycle through one; the thread's own dict (the one that
// the interpreter keeps per thread) owns the parts, so that they go when the thread goes.
#pragma once

#include <Python.h>

namespace underthread::python {

/// The type `_thread._local`; null: a Python error is set.
PyTypeObject* make_local_type(PyObject* module);

/// The type of a thread's part of a local; not for Python code. Null: a Python error is set.
PyTypeObject* make_local_part_type(PyObject* module);

}  // namespace underthread::python
