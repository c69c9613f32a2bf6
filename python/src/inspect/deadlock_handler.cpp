#include "inspect/deadlock_handler.h"

#include <optional>
#include <utility>

#include "cpython/errors.h"
#include "found_deadlock.h"
#include "inspect/seen_objects.h"
#include "lot/fork.h"
#include "lot/mutex.h"
#include "state/module_state.h"

namespace underthread::python {
namespace {

/// This thread is in the handler.
constinit thread_local bool is_telling = false;

/// The deadlock that the thread's last wait closed, as a tuple; None: it is no more. Null: a Python
/// error is set.
PyObject* found(lot::ThreadRecord& me) {
  std::optional<Deadlock> deadlock;
  if (raises([&] { deadlock = find_deadlock(me); })) return nullptr;
  return deadlock ? deadlock_tuple(*deadlock) : Py_NewRef(Py_None);
}

}  // namespace

PyObject* set_deadlock_handler(PyObject* module, PyObject* handler) {
  if (handler != Py_None && !PyCallable_Check(handler))
    return PyErr_Format(PyExc_TypeError, "on_deadlock() takes a function or None, not %R", handler);
  ModuleState& state = state_of(module);
  PyObject* before = handler == Py_None ? nullptr : Py_NewRef(handler);
  {
    const lot::Locked locked(lot::settings);
    std::swap(before, state.deadlock_handler);
  }
  return before ? before : Py_NewRef(Py_None);
}

bool deadlocks_are_told(const ModuleState& state) {
  if (is_telling || is_finalizing()) return false;
  const lot::Locked locked(lot::settings);
  return state.deadlock_handler != nullptr;
}

bool tell_deadlock(const ModuleState& state, lot::ThreadRecord& me) {
  PyObject* handler = nullptr;
  {
    // Without a GIL another thread may be setting another.
    const lot::Locked locked(lot::settings);
    handler = Py_XNewRef(state.deadlock_handler);
  }
  PyObject* const deadlock = handler ? found(me) : Py_NewRef(Py_None);
  PyObject* result = nullptr;
  if (deadlock && deadlock != Py_None) {
    is_telling = true;
    result = PyObject_CallObject(handler, deadlock);
    is_telling = false;
  } else if (deadlock) {
    result = Py_NewRef(Py_None);
  }
  Py_XDECREF(handler);
  Py_XDECREF(deadlock);
  Py_XDECREF(result);
  return result != nullptr;
}

}  // namespace underthread::python
