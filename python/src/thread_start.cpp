#include "thread_start.h"

#include <underthread/lock.h>
#include <underthread/thread.h>

#include <cstddef>
#include <memory>
#include <new>

#include "errors.h"
#include "lock_object.h"
#include "module.h"

namespace underthread::python {
namespace {

/// What a new thread needs. Made by the parent; the child owns it from the moment that it has a
/// thread state, and frees it with the GIL held, when the parent is done with it: the parent has
/// the GIL from before the start until after the handshake.
struct Start {
  PyObject* module;
  PyObject* function;
  PyObject* arguments;
  PyObject* keywords;  ///< null: none
  PyInterpreterState* interpreter;
  PyThreadState* state;  ///< null after the handshake: the child could not make one, and is gone
  Lock handshake;  ///< a bare hold of the parent's; released by the child once `state` is decided
};

void drop(Start* start) {
  Py_DECREF(start->module);
  Py_DECREF(start->function);
  Py_DECREF(start->arguments);
  Py_XDECREF(start->keywords);
  delete start;
}

// Ends by returning or, when the interpreter ends first, by being unwound wherever it takes the
// GIL: nothing here has a destructor.
void run(Start* start) {
  PyThreadState* const state = PyThreadState_New(start->interpreter);
  start->state = state;
  // Held by the parent, so it is not refused. After this `start` is ours, or not to be touched.
  start->handshake.release();
  if (!state) return;
  PyEval_AcquireThread(state);

  PyObject* const result = PyObject_Call(start->function, start->arguments, start->keywords);
  if (result) {
    Py_DECREF(result);
  } else if (PyErr_ExceptionMatches(PyExc_SystemExit)) {
    PyErr_Clear();
  } else {
    _PyErr_WriteUnraisableMsg("in thread started by", start->function);
  }
  --state_of(start->module).threads;
  drop(start);
  PyThreadState_Clear(state);
  PyThreadState_DeleteCurrent();
}

/// The main thread's or a child's: called by the interpreter when a thread state goes, with the
/// GIL.
void release_sentinel(void* reference) {
  PyObject* const weak = static_cast<PyObject*>(reference);
  PyObject* const lock = PyWeakref_GET_OBJECT(weak);
  if (lock != Py_None) release_if_held(lock);
  Py_DECREF(weak);
}

}  // namespace

PyObject* start_new_thread(PyObject* module, PyObject* arguments) {
  PyObject *function, *positional, *keywords = nullptr;
  if (!PyArg_UnpackTuple(arguments, "start_new_thread", 2, 3, &function, &positional, &keywords))
    return nullptr;
  if (!PyCallable_Check(function)) {
    PyErr_SetString(PyExc_TypeError, "first arg must be callable");
    return nullptr;
  }
  if (!PyTuple_Check(positional)) {
    PyErr_SetString(PyExc_TypeError, "2nd arg must be a tuple");
    return nullptr;
  }
  if (keywords && !PyDict_Check(keywords)) {
    PyErr_SetString(PyExc_TypeError, "optional 3rd arg must be a dictionary");
    return nullptr;
  }
  PyInterpreterState* const interpreter = PyInterpreterState_Get();
  if (_PyInterpreterState_GetConfig(interpreter)->_isolated_interpreter) {
    PyErr_SetString(PyExc_RuntimeError, "thread is not supported for isolated subinterpreters");
    return nullptr;
  }

  Start* const start = new (std::nothrow) Start{Py_NewRef(module),
                                                Py_NewRef(function),
                                                Py_NewRef(positional),
                                                Py_XNewRef(keywords),
                                                interpreter,
                                                nullptr,
                                                {}};
  if (!start) return PyErr_NoMemory();

  // The parent waits for the child with the GIL held, on purpose: so the interpreter cannot begin
  // to end between the start and the child's thread state, and the child needs no GIL to get there.
  Ident ident = 0;
  if (raises([&] {
        start->handshake.try_acquire(Hold::bare);
        ident = underthread::start_new_thread([start] { run(start); });
        lot::Wait until_it_has_a_state;
        start->handshake.acquire(Hold::bare, until_it_has_a_state);
      })) {
    drop(start);
    return nullptr;
  }
  if (!start->state) {
    drop(start);
    return PyErr_NoMemory();
  }
  ++state_of(module).threads;
  return PyLong_FromUnsignedLong(ident);
}

PyObject* count(PyObject* module, PyObject*) {
  PyObject* const theirs = PyObject_CallNoArgs(state_of(module).stock_count);
  if (!theirs) return nullptr;
  const Py_ssize_t number = PyLong_AsSsize_t(theirs);
  Py_DECREF(theirs);
  if (number < 0) return nullptr;
  return PyLong_FromSsize_t(number + state_of(module).threads);
}

PyObject* set_sentinel(PyObject* module, PyObject*) {
  PyThreadState* const state = PyThreadState_Get();
  // In the child of a fork the forking thread has one already.
  if (state->on_delete_data) {
    PyObject* const old = static_cast<PyObject*>(state->on_delete_data);
    state->on_delete = nullptr;
    state->on_delete_data = nullptr;
    Py_DECREF(old);
  }
  PyObject* const lock = new_lock(state_of(module).lock_type);
  if (!lock) return nullptr;
  PyObject* const weak = PyWeakref_NewRef(lock, nullptr);
  if (!weak) {
    Py_DECREF(lock);
    return nullptr;
  }
  state->on_delete_data = weak;
  state->on_delete = release_sentinel;
  return lock;
}

PyObject* stack_size(PyObject*, PyObject* arguments) {
  Py_ssize_t size = 0;
  if (!PyArg_ParseTuple(arguments, "|n:stack_size", &size)) return nullptr;
  if (size < 0) {
    PyErr_SetString(PyExc_ValueError, "size must be 0 or a positive value");
    return nullptr;
  }
  // The interpreter keeps the number, as it was said, and checks it first; the library's rounding
  // to pages does not show.
  const std::size_t old = PyThread_get_stacksize();
  if (PyThread_set_stacksize(static_cast<std::size_t>(size)) != 0) {
    PyErr_Format(PyExc_ValueError, "size not valid: %zd bytes", size);
    return nullptr;
  }
  if (!adopt_stack_size()) {
    PyThread_set_stacksize(old);
    return nullptr;
  }
  return PyLong_FromSize_t(old);
}

bool adopt_stack_size() {
  return !raises([] { underthread::stack_size(PyThread_get_stacksize()); });
}

PyObject* exit_thread(PyObject*, PyObject*) {
  PyErr_SetNone(PyExc_SystemExit);
  return nullptr;
}

}  // namespace underthread::python
