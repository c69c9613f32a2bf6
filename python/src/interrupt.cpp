#include "interrupt.h"

#include <csignal>

#include "prompt.h"

namespace underthread::python {

PyObject* interrupt_main(PyObject*, [[maybe_unused]] PyObject* arguments) {
  int signum = SIGINT;
#if UNDERTHREAD_INTERRUPT_TAKES_SIGNUM
  if (!PyArg_ParseTuple(arguments, "|i:signum", &signum)) return nullptr;
  // The interpreter knows the handlers, and does nothing where there is none to run.
  if (PyErr_SetInterruptEx(signum) != 0) {
    PyErr_SetString(PyExc_ValueError, "signal number out of range");
    return nullptr;
  }
#else
  PyErr_SetInterrupt();
#endif
  // After it, so that the main thread finds what it is hurried for.
  hurry_main_thread(signum);
  Py_RETURN_NONE;
}

}  // namespace underthread::python
