#include "signal_slot.h"

#include <atomic>

#include "blocking.h"
#include "os/signal_action.h"
#include "os/signal_chain.h"
#include "prompt.h"

namespace underthread::python {
namespace {

// Of the main interpreter's main thread alone.
constinit bool is_claimed = false;
constinit os::SignalHandler interpreters_handler = nullptr;

PyObject* handle(PyObject*, PyObject*) {
  Py_RETURN_NONE;
}

PyMethodDef handler = {"_underthread_handle", handle, METH_VARARGS, nullptr};

/// `signal.signal(signum, handler)`. False: a Python error is set.
bool set_handler(int signum) {
  PyObject* const signal = PyImport_ImportModule("_signal");
  PyObject* const function = signal ? PyCFunction_New(&handler, nullptr) : nullptr;
  PyObject* const before =
      function ? PyObject_CallMethod(signal, "signal", "iO", signum, function) : nullptr;
  Py_XDECREF(before);
  Py_XDECREF(function);
  Py_XDECREF(signal);
  return before != nullptr;
}

void wake() {
  wake_main_thread();
}

}  // namespace

void claim_signal_slot() {
  if (is_claimed || !interrupts_are_prompt() || !runs_handlers_here()) return;
  is_claimed = true;
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  int signum = os::last_signal();
  while (signum > 0 && os::signal_action(signum) != os::SignalAction::system_default) --signum;
  if (signum > 0 && set_handler(signum)) interpreters_handler = os::signal_handler(signum);
  PyErr_Restore(type, error, traceback);
}

void watch_signals() {
  claim_signal_slot();
  if (interpreters_handler) os::chain_signals(interpreters_handler, wake);
}

}  // namespace underthread::python
