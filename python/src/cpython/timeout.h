// What `acquire(blocking=True, timeout=-1)` was asked for, with the errors that the interpreter's
// own `acquire` gives and in its order.
#pragma once

#include <cstdint>

#include "cpython/cpython.h"

namespace underthread::python {

/// Reads the arguments of an `acquire`, as METH_FASTCALL | METH_KEYWORDS gives them.
/// @param patience  set to how long to wait: ns; 0: do not; lot::never: for ever
/// @return false: a Python error is set
bool parse_acquire(PyObject* const* arguments, Py_ssize_t positional, PyObject* names,
                   std::int64_t& patience);

}  // namespace underthread::python
