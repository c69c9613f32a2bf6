#include "interrupts/reserved_signal.h"

#include <atomic>

#include "interrupts/main_thread.h"
#include "interrupts/signal_fronts.h"
#include "os/signal_action.h"

namespace underthread::python {
namespace {

// The number goes last, with release, and is read with acquire: whoever finds it finds the handler.
constinit std::atomic<int> reserved{0};  ///< 0: none
constinit std::atomic<os::SignalHandler> interpreters_handler{nullptr};

void trip(int signum) {
  interpreters_handler.load(std::memory_order_relaxed)(signum);
}

PyObject* handle(PyObject*, PyObject*) {
  have_looked();
  // Of what has been counted by then all handlers run now, as `look` says. If one raises, what was
  // sent is raised behind it.
  if (PyErr_CheckSignals() != 0) {
    trip_main_thread();
    return nullptr;
  }
  if (!raise_in_main_thread()) return nullptr;
  Py_RETURN_NONE;
}

int handle_pending(void*) {
  // A pending call must not fail while the interpreter ends.
  if (is_finalizing()) return 0;
  have_looked();
  if (PyErr_CheckSignals() != 0) {
    trip_main_thread();
    return -1;
  }
  return raise_in_main_thread() ? 0 : -1;
}

PyMethodDef handler = {"_underthread_handle", handle, METH_VARARGS, nullptr};

bool is_ours(PyObject* function) {
  return function && PyCFunction_Check(function) && PyCFunction_GET_FUNCTION(function) == handle;
}

bool is_ours(int signum) {
  PyObject* const found = signum > 0 ? python_handler(signum) : nullptr;
  const bool is = is_ours(found);
  Py_XDECREF(found);
  return is;
}

bool is_default(int signum) {
  if (os::signal_action(signum) != os::SignalAction::system_default) return false;
  PyObject* const found = python_handler(signum);
  const bool is = found && PyLong_Check(found) && PyLong_AsLong(found) == 0;
  Py_XDECREF(found);
  PyErr_Clear();
  return is;
}

/// `signal.signal(signum, handler)`, and the system's action as it was. False: a Python error is
/// set.
bool set_handler(int signum) {
  PyObject* const signal = PyImport_ImportModule("_signal");
  PyObject* const function = signal ? PyCFunction_New(&handler, nullptr) : nullptr;
  // This runs handlers that are due first, and they may raise instead.
  PyObject* const before =
      function ? PyObject_CallMethod(signal, "signal", "iO", signum, function) : nullptr;
  if (before) {
    interpreters_handler.store(os::signal_handler(signum), std::memory_order_relaxed);
    os::set_signal_action(signum, os::SignalAction::system_default, nullptr);
    reserved.store(signum, std::memory_order_release);
  }
  Py_XDECREF(before);
  Py_XDECREF(function);
  Py_XDECREF(signal);
  return before != nullptr;
}

}  // namespace

bool reserve_signal() {
  // At the end nothing can be imported, and nobody is left to interrupt.
  if (!runs_handlers_here() || !may_use_signals() || is_finalizing()) return true;
  if (is_ours(reserved.load(std::memory_order_relaxed))) return true;
  reserved.store(0, std::memory_order_relaxed);
  int signum = os::last_real_time_signal();
  while (signum >= os::first_real_time_signal() && !is_default(signum)) --signum;
  return signum < os::first_real_time_signal() || set_handler(signum);
}

bool is_reserved(PyObject* handler) {
  return is_ours(handler);
}

void restore_reserved_action() {
  const int signum = reserved.load(std::memory_order_relaxed);
  if (!is_ours(signum)) return;
  const os::SignalHandler in_force = os::signal_handler(signum);
  if (in_force && in_force == interpreters_handler.load(std::memory_order_relaxed))
    os::set_signal_action(signum, os::SignalAction::system_default, nullptr);
}

int reserved_signal() {
  return reserved.load(std::memory_order_acquire);
}

void give_back_reserved_signal() {
  const int signum = reserved.exchange(0, std::memory_order_acq_rel);
  if (!is_ours(signum) || !runs_handlers_here()) return;
  PyObject* const signal = PyImport_ImportModule("_signal");
  // Handlers that are due run first, and may raise.
  PyObject* const before =
      signal ? PyObject_CallMethod(signal, "signal", "ii", signum, 0) : nullptr;
  if (!before) PyErr_WriteUnraisable(nullptr);
  Py_XDECREF(before);
  Py_XDECREF(signal);
  os::set_signal_action(signum, os::SignalAction::system_default, nullptr);
}

void trip_main_thread() {
  const int signum = reserved.load(std::memory_order_acquire);
  if (is_ours(signum))
    trip(signum);
  else
    Py_AddPendingCall(handle_pending, nullptr);
}

void trip_main_thread_in_handler() {
  const int signum = reserved.load(std::memory_order_acquire);
  // The interpreter's own C handler makes a pending call too, where it cannot do without.
  if (signum != 0)
    trip(signum);
  else
    Py_AddPendingCall(handle_pending, nullptr);
}

bool trip_for_handlers() {
  const int signum = reserved.load(std::memory_order_acquire);
  if (signum == 0) return false;
  trip(signum);
  return true;
}

}  // namespace underthread::python
