#include "signal_slot.h"

#include <atomic>

#include "blocking.h"
#include "inbox.h"
#include "os/signal_action.h"
#include "os/signal_chain.h"
#include "prompt.h"

namespace underthread::python {
namespace {

// Set once, in the main interpreter's main thread; what is known of it is ordered by the GIL, or by
// the start of a thread.
constinit bool is_claimed = false;
constinit int slot = 0;  ///< 0: none
constinit os::SignalHandler interpreters_handler = nullptr;

PyObject* handle(PyObject*, PyObject*) {
  have_looked();
  // Of what has been counted by then all handlers run now, as `look` says. If one raises, what was
  // sent is raised behind it.
  if (PyErr_CheckSignals() != 0) {
    note_signal(slot);
    return nullptr;
  }
  if (!raise_sent_to_main()) return nullptr;
  Py_RETURN_NONE;
}

/// A pending call, where there is no slot: system calls are not ended by it.
int handle_pending(void*) {
  return raise_sent_to_main() ? 0 : -1;
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
  if (signum > 0 && set_handler(signum)) {
    interpreters_handler = os::signal_handler(signum);
    slot = signum;
  }
  PyErr_Restore(type, error, traceback);
}

void note_for_signal_slot() {
  // The interpreter's handler notes a signal in any thread, as a signal may come in any.
  if (slot != 0)
    interpreters_handler(slot);
  else
    Py_AddPendingCall(handle_pending, nullptr);
}

bool note_signal(int signum) {
  if (interpreters_handler) interpreters_handler(signum);
  return interpreters_handler != nullptr;
}

int signal_slot() {
  return slot;
}

void hurry_for_signal_slot() {
  if (slot != 0)
    hurry_main_thread(slot);
  else
    wake_main_thread();
}

void watch_signals() {
  claim_signal_slot();
  if (interpreters_handler) os::chain_signals(interpreters_handler, wake);
}

}  // namespace underthread::python
