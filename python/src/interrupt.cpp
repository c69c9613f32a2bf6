#include "interrupt.h"

#include <csignal>

#include "blocking.h"
#include "inbox.h"
#include "prompt.h"
#include "threading_module.h"

namespace underthread::python {
namespace {

/// Whether a Thread runs: by what `threading` knows, and without running any code of it, so that
/// this is still so when the exception is sent. One that has begun and is about to enter itself
/// among those that run is waited for: it would not do so if it were interrupted there.
bool is_running(PyObject* thread, PyObject* ident) {
  PyObject* const active = of_threading("_active");
  PyObject* const limbo = active ? of_threading("_limbo") : nullptr;
  bool runs = false;
  if (limbo && PyDict_Check(active) && PyDict_Check(limbo)) {
    bool is_about_to = true;
    while (!runs && is_about_to && !PyErr_Occurred()) {
      runs = PyDict_GetItemWithError(active, ident) == thread;
      is_about_to = !runs && PyDict_Contains(limbo, thread) == 1;
      if (is_about_to && !pause_for_others()) break;
    }
  }
  Py_XDECREF(limbo);
  Py_XDECREF(active);
  return runs;
}

/// The ident that `thread`, a Thread or an ident, stands for; 0: none that runs, or, if
/// `PyErr_Occurred()`, an error.
Ident ident_of(PyObject* thread) {
  if (PyLong_Check(thread)) {
    const unsigned long ident = PyLong_AsUnsignedLong(thread);
    // No thread has a number that is none.
    if (PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_OverflowError)) {
      PyErr_Clear();
      return 0;
    }
    return ident;
  }
  PyObject* const ident = PyObject_GetAttrString(thread, "ident");
  if (!ident || !(ident == Py_None || PyLong_Check(ident))) {
    if (ident || PyErr_ExceptionMatches(PyExc_AttributeError))
      PyErr_Format(PyExc_TypeError, "a Thread or an ident is needed, not %s",
                   Py_TYPE(thread)->tp_name);
    Py_XDECREF(ident);
    return 0;
  }
  const Ident found =
      ident != Py_None && is_running(thread, ident) ? PyLong_AsUnsignedLong(ident) : 0;
  Py_DECREF(ident);
  return found;
}

}  // namespace

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

PyObject* interrupt(PyObject* module, PyObject* arguments) {
  PyObject *thread, *exception;
  if (!PyArg_UnpackTuple(arguments, "interrupt", 2, 2, &thread, &exception)) return nullptr;
  if (!PyExceptionClass_Check(exception) && !PyExceptionInstance_Check(exception)) {
    PyErr_Format(PyExc_TypeError, "exceptions must derive from BaseException, not %s",
                 Py_TYPE(exception)->tp_name);
    return nullptr;
  }
  const Ident ident = ident_of(thread);
  if (PyErr_Occurred()) return nullptr;
  const bool is_sent = ident != 0 && send(module, ident, exception, [](Token) { return true; });
  return PyErr_Occurred() ? nullptr : PyBool_FromLong(is_sent);
}

}  // namespace underthread::python
