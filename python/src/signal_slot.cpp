#include "signal_slot.h"

#include <atomic>

#include "blocking.h"
#include "inbox.h"
#include "os/signal_action.h"
#include "os/signal_chain.h"
#include "prompt.h"

namespace underthread::python {
namespace {

// The main interpreter's main thread's.
constinit bool is_claimed = false;
// Set once, by that thread; a subinterpreter may have a GIL of its own. The slot goes last, with
// release, and is read with acquire: whoever finds it finds the handler.
constinit std::atomic<int> slot{0};  ///< 0: none
constinit std::atomic<os::SignalHandler> interpreters_handler{nullptr};

PyObject* handle(PyObject*, PyObject*) {
  have_looked();
  // Of what has been counted by then all handlers run now, as `look` says. If one raises, what was
  // sent is raised behind it.
  if (PyErr_CheckSignals() != 0) {
    note_signal(signal_slot());
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

bool claim_signal_slot() {
  // At the end nothing can be imported, and nobody is left to interrupt.
  if (is_claimed || !interrupts_are_prompt() || !runs_handlers_here() || is_finalizing())
    return true;
  int signum = os::last_signal();
  while (signum > 0 && os::signal_action(signum) != os::SignalAction::system_default) --signum;
  // To set one runs what is due first, and that may raise instead.
  if (signum > 0 && !set_handler(signum)) return false;
  is_claimed = true;
  if (signum > 0) {
    interpreters_handler.store(os::signal_handler(signum), std::memory_order_relaxed);
    slot.store(signum, std::memory_order_release);
  }
  return true;
}

void note_for_signal_slot() {
  // The interpreter's handler notes a signal in any thread, as a signal may come in any.
  if (!note_signal(signal_slot())) Py_AddPendingCall(handle_pending, nullptr);
}

bool note_signal(int signum) {
  if (signal_slot() == 0) return false;
  interpreters_handler.load(std::memory_order_relaxed)(signum);
  return true;
}

int signal_slot() {
  return slot.load(std::memory_order_acquire);
}

void hurry_for_signal_slot() {
  if (signal_slot() != 0)
    hurry_main_thread(signal_slot());
  else
    wake_main_thread();
}

bool watch_signals() {
  if (!claim_signal_slot()) return false;
  if (signal_slot() != 0)
    os::chain_signals(interpreters_handler.load(std::memory_order_relaxed), wake);
  return true;
}

}  // namespace underthread::python
