#include "beginning.h"

#include <underthread/ident.h>
#include <underthread/lot/wait.h>

#include <atomic>
#include <cstdint>
#include <new>

#include "blocking.h"
#include "latch.h"
#include "lock_object.h"
#include "lot/thread_record.h"
#include "module.h"
#include "threading_module.h"

namespace underthread::python {
namespace {

enum Phase : std::uint8_t {
  awaited,    ///< the thread is on its way
  begun,      ///< it has set its event
  failed,     ///< it has ended before that: `failure` says why. The starter tells
  abandoned,  ///< the starter has gone. The thread tells
};

/// In the event's list of those who wait for it, as a lock that the event is to release.
struct Beginning {
  PyObject_HEAD Latch decided;
  // Leaves `awaited` once. release/acquire: whoever finds `failed` sees `failure`.
  std::atomic<Phase> phase;
  PyObject* failure;     ///< null: the thread's function returned
  PyObject* event_lock;  ///< guards the event

  bool decide(Phase outcome) {
    Phase expected = awaited;
    return phase.compare_exchange_strong(expected, outcome, std::memory_order_acq_rel,
                                         std::memory_order_acquire);
  }
};

Beginning* object(PyObject* self) {
  return reinterpret_cast<Beginning*>(self);
}

PyObject* release(PyObject* self, PyObject*) {
  if (object(self)->decide(begun)) object(self)->decided.set();
  Py_RETURN_NONE;
}

void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  Py_XDECREF(object(self)->failure);
  Py_XDECREF(object(self)->event_lock);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {
    {"release", release, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

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

/// What `threading` has of those who wait until the thread has begun: their list, and the lock that
/// guards it. Null and no error: it has begun, or its event is not one of `threading`'s.
struct Waiters {
  PyObject* list = nullptr;
  PyObject* lock = nullptr;
};

Waiters waiters_of(PyObject* function) {
  Waiters found;
  PyObject* const event = attribute_of(PyMethod_GET_SELF(function), "_started");
  PyObject* const flag = event ? attribute_of(event, "_flag") : nullptr;
  PyObject* const condition = flag == Py_False ? attribute_of(event, "_cond") : nullptr;
  if (condition) found.lock = attribute_of(condition, "_lock");
  if (found.lock) found.list = attribute_of(condition, "_waiters");
  if (!found.list) Py_CLEAR(found.lock);
  Py_XDECREF(condition);
  Py_XDECREF(flag);
  Py_XDECREF(event);
  return found;
}

PyObject* context_of(PyObject* error) {
  PyObject* const context = PyException_GetContext(error);
  Py_XDECREF(context);
  return context;
}

/// Of all errors that `failure` came from the first: on its way out of `_bootstrap` another may
/// have taken its place. Borrowed: an error keeps what it came from. Without memory the interpreter
/// has one MemoryError for all, and the line may be a circle.
PyObject* origin_of(PyObject* failure) {
  PyObject* origin = failure;
  PyObject* slow = failure;
  for (bool even = false;; even = !even) {
    PyObject* const context = context_of(origin);
    if (!context || context == slow) return origin;
    origin = context;
    if (even) slow = context_of(slow);
  }
}

/// The error of a start whose thread has not begun. Takes `failure`; null: it just ended.
void raise_failure(PyObject* failure) {
  if (!failure) {
    PyErr_SetString(PyExc_RuntimeError, "can't start new thread: it ended before it had begun");
    return;
  }
  PyObject* const origin = origin_of(failure);
  PyObject* const text = PyObject_Str(origin);
  if (text)
    PyErr_Format(PyExc_RuntimeError, "can't start new thread: %s%s%U", Py_TYPE(origin)->tp_name,
                 PyUnicode_GET_LENGTH(text) > 0 ? ": " : "", text);
  Py_XDECREF(text);
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  PyErr_NormalizeException(&type, &error, &traceback);
  if (error && PyExceptionInstance_Check(error)) PyException_SetCause(error, Py_NewRef(failure));
  Py_DECREF(failure);
  PyErr_Restore(type, error, traceback);
}

/// A handler's error that is to be raised where the starter goes on, and where it was.
struct PutOff {
  PyObject* error;
  PyFrameObject* frame;
  int line;
};

/// A pending call: in the main thread, between two instructions.
int raise_now(void* argument) {
  PutOff* const it = static_cast<PutOff*>(argument);
  PyFrameObject* const frame = PyEval_GetFrame();  // borrowed
  const bool is_still_there = frame == it->frame && PyFrame_GetLineNumber(frame) == it->line;
  if (is_still_there && Py_AddPendingCall(raise_now, it) == 0) return 0;
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(it->error)), it->error);
  Py_DECREF(it->error);
  Py_DECREF(it->frame);
  PyMem_Free(it);
  return -1;
}

/// Puts off the Python error that is set, a handler's, until the caller of this, in the main
/// thread, has left the line that it is at. @return false: it cannot be, and is still set
bool put_off() {
  PyFrameObject* const frame = PyEval_GetFrame();  // borrowed
  PutOff* const it =
      _PyOS_IsMainThread() && frame ? static_cast<PutOff*>(PyMem_Malloc(sizeof(PutOff))) : nullptr;
  if (!it) return false;
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  PyErr_NormalizeException(&type, &error, &traceback);
  if (traceback) PyException_SetTraceback(error, traceback);
  *it = {error, frame, PyFrame_GetLineNumber(frame)};
  if (Py_AddPendingCall(raise_now, it) != 0) {
    PyErr_Restore(type, error, traceback);
    PyMem_Free(it);
    return false;
  }
  Py_INCREF(frame);
  Py_XDECREF(type);
  Py_XDECREF(traceback);
  return true;
}

}  // namespace

PyTypeObject* make_beginning_type(PyObject* module) {
  PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_methods, methods},
      {0, nullptr},
  };
  PyType_Spec spec = {
      "_thread._Beginning", sizeof(Beginning), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  return seal(PyType_FromModuleAndSpec(module, &spec, nullptr), false);
}

bool expect_beginning(const ModuleState& state, PyObject* function, PyObject*& beginning) {
  beginning = nullptr;
  Waiters waiters;
  if (is_bootstrap_of_thread(function)) waiters = waiters_of(function);
  if (!waiters.list) return !PyErr_Occurred();
  PyObject* const self = state.beginning_type->tp_alloc(state.beginning_type, 0);
  PyObject* appended = nullptr;
  if (self) {
    new (&object(self)->decided) Latch();
    new (&object(self)->phase) std::atomic<Phase>(awaited);
    object(self)->event_lock = Py_NewRef(waiters.lock);
    appended = PyObject_CallMethod(waiters.list, "append", "O", self);
  }
  Py_DECREF(waiters.list);
  Py_DECREF(waiters.lock);
  if (!appended) {
    Py_XDECREF(self);
    return false;
  }
  Py_DECREF(appended);
  beginning = self;
  return true;
}

void expect_nothing(PyObject* function, PyObject* beginning) {
  if (!beginning) return;
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  // If it has to stay in the list nothing comes of that: it will be released, for nobody.
  const Waiters waiters = waiters_of(function);
  PyObject* const removed =
      waiters.list ? PyObject_CallMethod(waiters.list, "remove", "O", beginning) : nullptr;
  Py_XDECREF(removed);
  Py_XDECREF(waiters.list);
  Py_XDECREF(waiters.lock);
  Py_DECREF(beginning);
  PyErr_Restore(type, error, traceback);
}

void end_beginning(const ModuleState& state, PyObject* beginning) {
  if (!beginning) return;
  Beginning& it = *object(beginning);
  // Without memory a `with` may not come to its end, and the starter would wait for its lock next.
  release_if_mine(state.lock_type, it.event_lock);
  if (it.phase.load(std::memory_order_acquire) != awaited) return;
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  PyErr_NormalizeException(&type, &error, &traceback);
  if (error && traceback) PyException_SetTraceback(error, traceback);
  it.failure = Py_XNewRef(error);
  if (!it.decide(failed)) return PyErr_Restore(type, error, traceback);
  it.decided.set();
  Py_XDECREF(type);
  Py_XDECREF(error);
  Py_XDECREF(traceback);
}

void forget_thread(PyObject* function) {
  if (!PyMethod_Check(function)) return;
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  PyObject* const active = of_threading("_active");
  PyObject* const ident = active ? PyLong_FromUnsignedLong(get_ident()) : nullptr;
  if (ident && PyDict_Check(active) &&
      PyDict_GetItemWithError(active, ident) == PyMethod_GET_SELF(function))
    PyDict_DelItem(active, ident);
  Py_XDECREF(ident);
  Py_XDECREF(active);
  PyErr_Restore(type, error, traceback);
}

bool wait_for_beginning(PyObject* function, PyObject* beginning, bool& is_there) {
  is_there = true;
  if (!beginning) return true;
  Beginning& it = *object(beginning);
  const Blocked end = block(lot::never, Handlers::run, nullptr, [&it](lot::Wait& wait) {
    return it.decided.wait(*lot::current(), wait);
  });
  const bool is_decided = !it.decide(abandoned);
  is_there = !is_decided || it.phase.load(std::memory_order_acquire) == begun;
  bool well = end != Blocked::raised;
  if (!is_there) {
    PyObject *type, *error, *traceback;
    PyErr_Fetch(&type, &error, &traceback);
    raise_failure(Py_XNewRef(it.failure));
    if (!well) {
      // Both are to be told, and the handler's goes on from here.
      write_unraisable_of_thread(function);
      PyErr_Restore(type, error, traceback);
    }
    well = false;
  } else if (!well && PyErr_ExceptionMatches(PyExc_Exception)) {
    well = put_off();
  }
  Py_DECREF(beginning);
  return well;
}

}  // namespace underthread::python
