// `underthread.hold_interrupts()`: a block that nothing interrupts. What comes meanwhile is
// delivered where it is left.
#pragma once

#include "cpython/cpython.h"

namespace underthread::python {

/// The type; null: a Python error is set.
PyTypeObject* make_hold_interrupts_type(PyObject* module);

}  // namespace underthread::python
