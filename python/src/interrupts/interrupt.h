// Interrupting the main thread, and any other.
#pragma once

#include "cpython/cpython.h"

namespace underthread::python {

/// `_thread.interrupt_main(signum=signal.SIGINT, /)`
PyObject* interrupt_main(PyObject* module, PyObject* arguments);

/// `underthread.interrupt(thread, exception)`
PyObject* interrupt(PyObject* module, PyObject* arguments);

}  // namespace underthread::python
