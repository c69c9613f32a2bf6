#include "threads/thread_bootstrap.h"

#include <new>

#include "cpython/threading_module.h"
#include "interrupts/interrupts.h"
#include "lot/thread_record.h"
#include "os/native_thread.h"
#include "state/module_state.h"
#include "types/lock_object.h"

namespace underthread::python {

struct Bootstrap {
  Ident starter;
  Pending* failure;      ///< for the starter's mailbox, filled but for what ended the thread
  PyObject* event_lock;  ///< guards the event; a reference
};

namespace {

bool is_bootstrap_of_thread(PyObject* function) {
  if (!PyMethod_Check(function)) return false;
  PyObject* const self = PyMethod_GET_SELF(function);
  PyObject* const type = of_threading("Thread");
  const bool is_thread = type && PyObject_IsInstance(self, type) == 1;
  PyObject* const bootstrap = is_thread ? attribute_of(self, "_bootstrap") : nullptr;
  const bool is_bootstrap = bootstrap && PyObject_RichCompareBool(bootstrap, function, Py_EQ) == 1;
  Py_XDECREF(bootstrap);
  Py_XDECREF(type);
  return is_bootstrap;
}

/// Whether the thread's event is not set. `lock`: the one that guards the event, a reference, if it
/// is one of threading's.
bool has_not_begun(PyObject* function, PyObject*& lock) {
  lock = nullptr;
  PyObject* const event = attribute_of(PyMethod_GET_SELF(function), "_started");
  PyObject* const flag = event ? attribute_of(event, "_flag") : nullptr;
  PyObject* const condition = flag == Py_False ? attribute_of(event, "_cond") : nullptr;
  if (condition) lock = attribute_of(condition, "_lock");
  const bool has_not = flag == Py_False;
  Py_XDECREF(condition);
  Py_XDECREF(flag);
  Py_XDECREF(event);
  return has_not;
}

/// Takes the thread out of a dict of threading's, by which it may be a key or a value.
void remove(const char* dictionary, PyObject* key, PyObject* thread) {
  PyObject* const threads = of_threading(dictionary);
  if (threads && key && PyDict_Check(threads) && PyDict_GetItemWithError(threads, key) == thread)
    PyDict_DelItem(threads, key);
  Py_XDECREF(threads);
}

/// Also where an exception from another thread came while it took itself out.
void remove_from_threading(PyObject* thread) {
  PyObject* const ident = PyLong_FromUnsignedLong(get_ident());
  remove("_active", ident, thread);
  remove("_limbo", thread, thread);
  Py_XDECREF(ident);
}

/// Sends the Python error that is set, or that there is none, to the starter. @return false: nobody
/// waits for it, and it is still set
bool send_failure(Interrupts& all, Bootstrap& bootstrap) {
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  PyErr_NormalizeException(&type, &error, &traceback);
  if (error && traceback) PyException_SetTraceback(error, traceback);
  bootstrap.failure->exception = Py_XNewRef(error);
  if (!send_start_failure(all, bootstrap.starter, *bootstrap.failure)) {
    PyErr_Restore(type, error, traceback);
    return false;
  }
  bootstrap.failure = nullptr;
  Py_XDECREF(type);
  Py_XDECREF(error);
  Py_XDECREF(traceback);
  return true;
}

void free(Bootstrap* bootstrap) {
  if (Pending* const unused = bootstrap->failure) {
    Py_XDECREF(unused->exception);
    Py_XDECREF(unused->thread);
    delete unused;
  }
  Py_XDECREF(bootstrap->event_lock);
  delete bootstrap;
}

}  // namespace

bool expect_bootstrap(PyObject* function, Bootstrap*& bootstrap) {
  bootstrap = nullptr;
  PyObject* lock = nullptr;
  if (!is_bootstrap_of_thread(function) || !has_not_begun(function, lock)) {
    Py_XDECREF(lock);
    return !PyErr_Occurred();
  }
  auto* const made = new (std::nothrow) Bootstrap{get_ident(), new (std::nothrow) Pending, lock};
  if (!made || !made->failure) {
    if (made)
      free(made);
    else
      Py_XDECREF(lock);
    PyErr_NoMemory();
    return false;
  }
  made->failure->kind = Kind::start_failure;
  made->failure->thread = Py_NewRef(PyMethod_GET_SELF(function));
  bootstrap = made;
  return true;
}

void name_this_thread(PyObject* function) {
  PyObject* const name = attribute_of(PyMethod_GET_SELF(function), "_name");
  const char* const text = name && PyUnicode_Check(name) ? PyUnicode_AsUTF8(name) : nullptr;
  lot::ThreadRecord* const me = text ? lot::current() : nullptr;
  if (me) {
    lot::set_name(*me, text);
    os::set_thread_name(text);
  }
  // A name that is none, or has half of a character.
  PyErr_Clear();
  Py_XDECREF(name);
}

void forget_bootstrap(Bootstrap* bootstrap) {
  if (bootstrap) free(bootstrap);
}

void end_bootstrap(const ModuleState& state, Bootstrap* bootstrap, PyObject* function) {
  if (!bootstrap) return;
  // Without memory a `with` may not come to its end, and the starter would wait for its lock next.
  if (bootstrap->event_lock) release_if_mine(state.lock_type, bootstrap->event_lock);
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  remove_from_threading(PyMethod_GET_SELF(function));
  PyErr_Clear();
  PyObject* lock = nullptr;
  const bool has_failed = has_not_begun(function, lock);
  Py_XDECREF(lock);
  PyErr_Restore(type, error, traceback);
  if (has_failed && state.interrupts) send_failure(*state.interrupts, *bootstrap);
  free(bootstrap);
}

}  // namespace underthread::python
