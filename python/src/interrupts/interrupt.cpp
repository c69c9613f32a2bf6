#include "interrupts/interrupt.h"

#include <underthread/lot/wait.h>

#include <csignal>

#include "cpython/gil.h"
#include "cpython/threading_module.h"
#include "interrupts/interrupts.h"
#include "interrupts/main_thread.h"
#include "interrupts/signal_fronts.h"
#include "lot/parking_lot.h"
#include "lot/thread_record.h"
#include "os/futex.h"
#include "os/signal_action.h"

namespace underthread::python {
namespace {

/// Lets other threads run for a moment, for what is sure to come soon. @return false: a Python
/// error is set, by a signal's handler
bool pause_for_others() {
  constexpr std::int64_t moment = 50'000;  // ns
  lot::ThreadRecord* const me = lot::current();
  without_gil([me] {
    lot::Wait wait;
    wait.until = os::now() + moment;
    if (me) lot::pass_time(*me, wait);
  });
  return PyErr_CheckSignals() == 0;
}

/// Whether the system still has the thread: one that has ended by an exception on its way may stay
/// where `threading` lists those that begin.
bool lives([[maybe_unused]] const Interrupts& all, Ident ident) {
#if UNDERTHREAD_HAS_GIL
  return has_thread(all, ident);
#else
  return lot::find(ident, [](lot::ThreadRecord&) {}) != nullptr;
#endif
}

/// How long a thread that has begun may take to enter itself among those that run: ns.
constexpr std::int64_t patience_with_beginners = 100'000'000;

/// Whether a Thread runs: by what `threading` knows, and without running any code of it. One that
/// has begun and is about to enter itself among those that run is waited for: it would not do so if
/// it were interrupted there. Not for ever: this thread may be what it waits for, or be it.
bool is_running(const Interrupts& all, PyObject* thread, PyObject* ident) {
  PyObject* const active = of_threading("_active");
  PyObject* const limbo = active ? of_threading("_limbo") : nullptr;
  bool runs = false;
  if (limbo && PyDict_Check(active) && PyDict_Check(limbo)) {
    const std::int64_t until = os::now() + patience_with_beginners;
    bool is_about_to = true;
    while (!runs && is_about_to && !PyErr_Occurred()) {
      runs = PyDict_GetItemWithError(active, ident) == thread;
      is_about_to =
          !runs && PyDict_Contains(limbo, thread) == 1 && lives(all, PyLong_AsUnsignedLong(ident));
      if (!is_about_to) break;
      if (PyLong_AsUnsignedLong(ident) == get_ident() || os::now() >= until) break;
      if (!pause_for_others()) break;
    }
  }
  Py_XDECREF(limbo);
  Py_XDECREF(active);
  return runs;
}

/// Whether it still is that Thread's ident. Runs no Python code.
bool is_still(PyObject* thread, Ident ident) {
  PyObject* const active = of_threading("_active");
  PyObject* const number = active ? PyLong_FromUnsignedLong(ident) : nullptr;
  const bool is =
      number && PyDict_Check(active) && PyDict_GetItemWithError(active, number) == thread;
  Py_XDECREF(number);
  Py_XDECREF(active);
  return is && !PyErr_Occurred();
}

/// The ident that `thread`, a Thread or an ident, stands for; 0: none that runs, or, if
/// `PyErr_Occurred()`, an error.
Ident ident_of(const Interrupts& all, PyObject* thread) {
  if (PyLong_Check(thread) && !PyBool_Check(thread)) {
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
      PyErr_Format(PyExc_TypeError, "interrupt() takes a Thread or its ident (an int), not %R",
                   thread);
    Py_XDECREF(ident);
    return 0;
  }
  const Ident found =
      ident != Py_None && is_running(all, thread, ident) ? PyLong_AsUnsignedLong(ident) : 0;
  Py_DECREF(ident);
  return found;
}

/// An instance for a class or an instance, made here, so that an error of the class's is the
/// caller's. A reference; null: a Python error is set.
PyObject* instance_of(PyObject* exception) {
  if (PyExceptionInstance_Check(exception)) return Py_NewRef(exception);
  if (!PyExceptionClass_Check(exception)) {
    PyErr_Format(PyExc_TypeError,
                 "interrupt() raises exceptions, classes or instances derived from BaseException, "
                 "not %R",
                 exception);
    return nullptr;
  }
  PyObject* const made = PyObject_CallNoArgs(exception);
  if (!made || PyExceptionInstance_Check(made)) return made;
  PyErr_Format(PyExc_TypeError,
               "calling %R should have returned an instance of BaseException, not %R", exception,
               made);
  Py_DECREF(made);
  return nullptr;
}

}  // namespace

PyObject* interrupt_main(PyObject*, [[maybe_unused]] PyObject* arguments) {
  int signum = SIGINT;
#if UNDERTHREAD_INTERRUPT_TAKES_SIGNUM
  if (!PyArg_ParseTuple(arguments, "|i:signum", &signum)) return nullptr;
#endif
  // Where the handler is default or ignored, there is nothing to note.
  if (signum >= 1 && signum <= os::last_real_time_signal() && note_held_interrupt(signum))
    Py_RETURN_NONE;
#if UNDERTHREAD_INTERRUPT_TAKES_SIGNUM
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
  Interrupts* const all = state_of(module).interrupts;
  if (!all) Py_RETURN_FALSE;
  if (!learn(*all)) return nullptr;
  PyObject* const instance = instance_of(exception);
  if (!instance) return nullptr;
  const Ident ident = ident_of(*all, thread);
  const bool is_ident = PyLong_Check(thread);
  const bool is_sent = ident != 0 && send(*all, ident, instance, [thread, ident, is_ident] {
                         return is_ident || is_still(thread, ident);
                       });
  Py_DECREF(instance);
  return PyErr_Occurred() ? nullptr : PyBool_FromLong(is_sent);
}

}  // namespace underthread::python
