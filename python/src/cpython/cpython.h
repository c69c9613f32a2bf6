// CPython's API as this extension uses it, and all that differs between the versions it is built
// for: 3.9 to 3.15, with the GIL and without. Other files ask by the names below and never for a
// version's number.
#pragma once

#include <Python.h>
#include <frameobject.h>

#include <atomic>
#include <cstdint>

#if PY_VERSION_HEX < 0x03090000 || PY_VERSION_HEX >= 0x03100000
#error "underthread._core is built for CPython 3.9 to 3.15"
#endif

// What the C preprocessor has to know, since the API that goes with it is there or is not.

/// A thread's end is told by a lock that its thread state releases (`_set_sentinel`), and
/// `threading` joins by that lock. Where not, threads have handles (`start_joinable_thread`).
#define UNDERTHREAD_HAS_SENTINEL (PY_VERSION_HEX < 0x030D0000)
/// `interrupt_main` takes a signal's number.
#define UNDERTHREAD_INTERRUPT_TAKES_SIGNUM (PY_VERSION_HEX >= 0x030A0000)
/// One flag of the interpreter makes all threads look for an exception that one was told of. It
/// stays where that is withdrawn, until somebody raises another.
#define UNDERTHREAD_ASYNC_FLAG_STAYS (PY_VERSION_HEX < 0x030D0000)
/// Threads can be given names (`set_name`).
#define UNDERTHREAD_NAMES_THREADS (PY_VERSION_HEX >= 0x030E0000)
/// `lock.__enter__` takes no arguments, and `__exit__` exactly three.
#define UNDERTHREAD_WITH_IS_STRICT (PY_VERSION_HEX >= 0x030F0000)
/// `RLock._acquire_restore` takes one argument, not a tuple of arguments.
#define UNDERTHREAD_RESTORE_TAKES_ONE (PY_VERSION_HEX >= 0x030F0000)
/// Python threads run at once: what the GIL guards elsewhere has locks of its own.
#ifdef Py_GIL_DISABLED
#define UNDERTHREAD_HAS_GIL 0
#else
#define UNDERTHREAD_HAS_GIL 1
#endif

#if PY_VERSION_HEX < 0x030A0000
inline PyObject* Py_NewRef(PyObject* object) {
  Py_INCREF(object);
  return object;
}
inline PyObject* Py_XNewRef(PyObject* object) {
  Py_XINCREF(object);
  return object;
}
inline int PyModule_AddObjectRef(PyObject* module, const char* name, PyObject* value) {
  Py_XINCREF(value);
  if (value && PyModule_AddObject(module, name, value) == 0) return 0;
  Py_XDECREF(value);
  return -1;
}
// Types of the heap can be changed and made there, whatever one says; `seal` does what can be done.
#define Py_TPFLAGS_IMMUTABLETYPE 0
#define Py_TPFLAGS_DISALLOW_INSTANTIATION 0
#endif

#if PY_VERSION_HEX < 0x030D0000
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

#if PY_VERSION_HEX >= 0x030D0000
// Exported by every interpreter since, and in no public header any more.
extern "C" {
PyAPI_FUNC(PyObject*)
    _PyObject_GenericGetAttrWithDict(PyObject* self, PyObject* name, PyObject* dict, int suppress);
PyAPI_FUNC(int) _PyObject_GenericSetAttrWithDict(PyObject* self, PyObject* name, PyObject* value,
                                                 PyObject* dict);
#if PY_VERSION_HEX < 0x030E0000
PyAPI_FUNC(int) _PyInterpreterState_GetConfigCopy(PyConfig* config);
#endif
PyAPI_FUNC(int) _PyOS_IsMainThread(void);
PyAPI_FUNC(int) _PyTime_FromSecondsObject(PyTime_t* time, PyObject* seconds, int round);
}
#endif

#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030C0000
// Exported by 3.11, in an internal header.
extern "C" PyAPI_FUNC(void) _PyThreadState_SetCurrent(PyThreadState* state);
#endif

namespace underthread::python {

/// `lock.locked()` and `release` go by a flag that the GIL guards: `threading` releases a lock that
/// another thread waits for and then asserts that it is not locked. Since 3.13 it does not.
constexpr bool locked_is_a_flag = UNDERTHREAD_HAS_SENTINEL;

/// `acquire(blocking=...)` takes anything that is true or false, not only integers.
constexpr bool blocking_is_a_predicate = PY_VERSION_HEX >= 0x030C0000;

constexpr int interrupt_main_convention =
    UNDERTHREAD_INTERRUPT_TAKES_SIGNUM ? METH_VARARGS : METH_NOARGS;

/// What `RLock._acquire_restore` reads its argument by: the count, signed since 3.14, and the
/// owner.
constexpr int restore_convention = UNDERTHREAD_RESTORE_TAKES_ONE ? METH_O : METH_VARARGS;
#if PY_VERSION_HEX >= 0x030E0000
using SavedCount = Py_ssize_t;
constexpr const char* saved_state = "(nk):_acquire_restore";
#else
using SavedCount = unsigned long;
constexpr const char* saved_state = "(kk):_acquire_restore";
#endif

/// Py_AddPendingCall is about the interpreter that the caller runs, and not about the main one.
constexpr bool pending_calls_are_the_interpreters_own = PY_VERSION_HEX < 0x030C0000;

/// An exception is made where somebody looks at it and not where it is raised, and then has the
/// class that was raised, whatever that makes; but not if the making raises another.
constexpr bool errors_are_made_late = PY_VERSION_HEX < 0x030C0000;

/// A system call that ended with EINTR raises what the interpreter has been told to, in any thread.
constexpr bool system_calls_raise_in_any_thread = PY_VERSION_HEX >= 0x030F0000;

/// The instruction of a `raise`, in `co_code` of the versions whose tasks do not count their
/// cancellations: 3.9 and 3.10.
constexpr unsigned char raise_instruction = 130;

/// Starting a thread is an audit event.
constexpr bool start_is_audited = PY_VERSION_HEX >= 0x030C0000;

/// What `acquire` says of a time-out that is less than nothing.
constexpr const char* negative_timeout = PY_VERSION_HEX >= 0x030D0000
                                             ? "timeout value must be a non-negative number"
                                             : "timeout value must be positive";

/// What a wait raises while the interpreter ends, when nobody is left to end it; null: it waits.
constexpr const char* acquire_at_the_end =
    PY_VERSION_HEX >= 0x030F0000 ? "cannot acquire lock at interpreter finalization" : nullptr;
constexpr const char* join_at_the_end =
    PY_VERSION_HEX >= 0x030E0000 ? "cannot join thread at interpreter shutdown" : nullptr;

/// A function of any convention, as a PyMethodDef holds it.
template <class Function>
PyCFunction method(Function* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

/// A time-out as the interpreter reads it, in ns, with its errors. False: a Python error is set.
inline bool seconds_to_nanoseconds(PyObject* seconds, std::int64_t& nanoseconds) {
  // What it calls ROUND_TIMEOUT: away from zero.
#if PY_VERSION_HEX >= 0x030D0000
  constexpr int round_up = 3;
  PyTime_t time;
  if (_PyTime_FromSecondsObject(&time, seconds, round_up) < 0) return false;
#else
  _PyTime_t time;
  if (_PyTime_FromSecondsObject(&time, seconds, _PyTime_ROUND_TIMEOUT) < 0) return false;
#endif
  nanoseconds = time;
  return true;
}

#if UNDERTHREAD_HAS_GIL
// A new thread's state is made by its starter, which has the GIL: so no end of the interpreter can
// come before it, and errors are the starter's. The interpreter does the same, by functions that it
// keeps to itself from 3.12 on; there PyThreadState_New leaves to PyEval_AcquireThread what belongs
// to the thread that it runs in, but for its numbers.

#if PY_VERSION_HEX < 0x030B0000
extern "C" void _PyThreadState_Init(PyThreadState*);
#endif

/// A state for a thread that is to be started; null: no memory. Until its `thread_id` is set, with
/// the same GIL, it is nobody's: what is sent to the starter is not to be found there.
inline PyThreadState* make_thread_state(PyInterpreterState* interpreter) {
#if PY_VERSION_HEX < 0x030C0000
  PyThreadState* const state = _PyThreadState_Prealloc(interpreter);
#else
  PyThreadState* const state = PyThreadState_New(interpreter);
#endif
  if (state) state->thread_id = 0;
  return state;
}

/// Takes the GIL with it, in the thread that it was made for. Nothing of it is touched before: the
/// interpreter may have ended meanwhile, and then this does not return.
inline void acquire_with_new_state(PyThreadState* state) {
  PyEval_AcquireThread(state);
#if PY_VERSION_HEX >= 0x030B0000
  state->native_thread_id = PyThread_get_thread_native_id();
#endif
  // What PyGILState_Ensure finds.
#if PY_VERSION_HEX < 0x030B0000
  _PyThreadState_Init(state);
#elif PY_VERSION_HEX < 0x030C0000
  _PyThreadState_SetCurrent(state);
#endif
}

/// There is no such thread after all. Needs the GIL.
inline void discard_thread_state(PyThreadState* state) {
  PyThreadState_Clear(state);
  PyThreadState_Delete(state);
}
#endif

/// What the interpreter has been told to raise in a thread (PyThreadState_SetAsyncExc), borrowed
/// and to be compared; null: nothing.
inline const PyObject* async_exception_of(PyThreadState* state) {
#if UNDERTHREAD_HAS_GIL
  return state->async_exc;
#else
  // Relaxed: whoever sets it wakes the thread afterwards.
  return std::atomic_ref<PyObject*>(state->async_exc).load(std::memory_order_relaxed);
#endif
}

#if UNDERTHREAD_HAS_GIL
/// Waits until no thread state is just being made: one that is is first in the interpreter's list
/// and does not say yet what comes behind it. States are made without the GIL too, by C threads.
inline void await_thread_list() {
  // It goes through the list by the list's own lock. No thread has this ident.
  PyThreadState_SetAsyncExc(~0UL, nullptr);
}
#endif

/// The frame that this thread runs, to be compared.
inline const void* running_frame() {
#if PY_VERSION_HEX >= 0x030D0000
  return PyThreadState_Get()->current_frame;
#elif PY_VERSION_HEX >= 0x030B0000
  return PyThreadState_Get()->cframe->current_frame;
#else
  return PyThreadState_Get()->frame;
#endif
}

#if UNDERTHREAD_ASYNC_FLAG_STAYS
/// No trace or profile function sees what runs in this thread while it exists.
class NoTracing {
 public:
  explicit NoTracing(PyThreadState* state) : state_(state) {
#if PY_VERSION_HEX >= 0x030B0000
    PyThreadState_EnterTracing(state_);
#elif PY_VERSION_HEX >= 0x030A0000
    was_on_ = state_->cframe->use_tracing;
    state_->cframe->use_tracing = 0;
#else
    was_on_ = state_->use_tracing;
    state_->use_tracing = 0;
#endif
  }
  ~NoTracing() {
#if PY_VERSION_HEX >= 0x030B0000
    PyThreadState_LeaveTracing(state_);
#elif PY_VERSION_HEX >= 0x030A0000
    state_->cframe->use_tracing = was_on_;
#else
    state_->use_tracing = was_on_;
#endif
  }
  NoTracing(const NoTracing&) = delete;
  NoTracing& operator=(const NoTracing&) = delete;

 private:
  PyThreadState* state_;
#if PY_VERSION_HEX < 0x030B0000
  int was_on_ = 0;
#endif
};
#endif

/// The flags of the code that a frame runs (CO_COROUTINE and others).
inline int code_flags_of(PyFrameObject* frame) {
  PyCodeObject* const code = PyFrame_GetCode(frame);
  const int flags = code->co_flags;
  Py_DECREF(code);
  return flags;
}
constexpr int coroutine_flags = CO_COROUTINE | CO_ITERABLE_COROUTINE | CO_ASYNC_GENERATOR;
constexpr int suspendable_flags = coroutine_flags | CO_GENERATOR;

/// Whether a frame is on the stack of a thread state, whose thread does not run meanwhile or is
/// this one. Not where it is a coroutine's, and another coroutine runs on top of it that it does
/// not await, as the first step of an eager task. Runs no Python code.
inline bool has_frame(PyThreadState* state, PyObject* frame) {
  // 3.11 makes frame objects where they are asked for, and may collect garbage then.
#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030C0000
  const int was_on = PyGC_Disable();
#endif
  const bool is_coroutine =
      (code_flags_of(reinterpret_cast<PyFrameObject*>(frame)) & coroutine_flags) != 0;
  PyFrameObject* each = PyThreadState_GetFrame(state);
  while (each && reinterpret_cast<PyObject*>(each) != frame) {
    PyFrameObject* back = PyFrame_GetBack(each);
    if (back && is_coroutine && (code_flags_of(each) & coroutine_flags) != 0 &&
        (code_flags_of(back) & suspendable_flags) == 0)
      Py_CLEAR(back);
    Py_DECREF(each);
    each = back;
  }
  Py_XDECREF(each);
#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030C0000
  if (was_on) PyGC_Enable();
#endif
  return each != nullptr;
}

/// The code that a thread of this interpreter runs, a reference, and how far it is in that. Null:
/// it runs none. With the GIL: so the thread is in the call that it makes there.
inline PyObject* code_of(PyThreadState* state, int& instruction) {
#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030C0000
  const int was_on = PyGC_Disable();  // as above
#endif
  PyFrameObject* const frame = PyThreadState_GetFrame(state);
#if PY_VERSION_HEX >= 0x030B0000 && PY_VERSION_HEX < 0x030C0000
  if (was_on) PyGC_Enable();
#endif
  if (!frame) return nullptr;
#if PY_VERSION_HEX >= 0x030B0000
  instruction = PyFrame_GetLasti(frame);
#else
  instruction = frame->f_lasti;
#endif
  PyCodeObject* const code = PyFrame_GetCode(frame);
  Py_DECREF(frame);
  return reinterpret_cast<PyObject*>(code);
}

/// `base.__subclasses__()` does not show `type`, where that matters: from 3.12 on `base` is
/// BaseException, which has others that programs do not know.
inline void hide_from_subclasses([[maybe_unused]] PyObject* base, [[maybe_unused]] PyObject* type) {
#if PY_VERSION_HEX < 0x030C0000
  PyObject* const subclasses = reinterpret_cast<PyTypeObject*>(base)->tp_subclasses;
  PyObject* const key = subclasses ? PyLong_FromVoidPtr(type) : nullptr;
  // If it stays there it is shown, and nothing else comes of it.
  if (!key || PyDict_DelItem(subclasses, key) != 0) PyErr_Clear();
  Py_XDECREF(key);
#endif
}

/// Whether the host has left signals to this interpreter: with `install_signal_handlers` unset it
/// keeps them for itself.
#if PY_VERSION_HEX >= 0x030E0000
inline bool interpreter_has_signals() {
  int value = 1;
  if (PyConfig_GetInt("install_signal_handlers", &value) != 0) PyErr_Clear();
  return value != 0;
}
#elif PY_VERSION_HEX >= 0x030D0000
inline bool interpreter_has_signals() {
  PyConfig config;
  PyConfig_InitPythonConfig(&config);
  const bool has =
      _PyInterpreterState_GetConfigCopy(&config) != 0 || config.install_signal_handlers;
  PyErr_Clear();
  PyConfig_Clear(&config);
  return has;
}
#else
inline bool interpreter_has_signals() {
  return _PyInterpreterState_GetConfig(PyInterpreterState_Main())->install_signal_handlers != 0;
}
#endif

/// True while the interpreter that is running ends: other threads cannot go on, or not for long.
inline bool is_finalizing() {
#if PY_VERSION_HEX >= 0x030D0000
  return Py_IsFinalizing();
#else
  return _Py_IsFinalizing();
#endif
}

/// Sets the Python error of whoever asks for something that only a living interpreter has.
inline void refuse_at_the_end(const char* what) {
#if PY_VERSION_HEX >= 0x030D0000
  PyErr_SetString(PyExc_PythonFinalizationError, what);
#else
  PyErr_SetString(PyExc_RuntimeError, what);
#endif
}

/// Whether the running interpreter starts no threads any more, where it says so.
#if PY_VERSION_HEX >= 0x030D0000
inline bool refuses_threads() {
  return Py_IsFinalizing();
}
#elif PY_VERSION_HEX >= 0x030C0000
// finalizing_3_12.c
extern "C" int underthread_interpreter_is_finalizing();
inline bool refuses_threads() {
  return underthread_interpreter_is_finalizing() != 0;
}
#else
inline bool refuses_threads() {
  return false;
}
#endif

/// Whether the running interpreter may start threads at all: isolated subinterpreters may not.
/// `stock` is its own `_thread`. @return false: a Python error is set
#if PY_VERSION_HEX >= 0x030D0000
inline bool threads_are_allowed(PyObject* stock, bool& allowed) {
  allowed = true;
  if (PyInterpreterState_Get() == PyInterpreterState_Main()) return true;
  // Nobody says so any more. But a thread whose handle has a thread already is refused for another
  // reason, and after this one.
  PyObject* const handle =
      PyObject_CallMethod(stock, "_make_thread_handle", "k", PyThread_get_thread_ident());
  PyObject* const started =
      handle ? PyObject_CallMethod(stock, "start_joinable_thread", "OO", &PyLong_Type, handle)
             : nullptr;
  Py_XDECREF(handle);
  if (started) {
    Py_DECREF(started);
    return true;
  }
  if (!PyErr_ExceptionMatches(PyExc_RuntimeError)) return false;
  PyObject *kind, *value, *traceback;
  PyErr_Fetch(&kind, &value, &traceback);
  PyObject* const text = value ? PyObject_Str(value) : nullptr;
  allowed = !text || PyUnicode_CompareWithASCIIString(text, "thread already started") == 0;
  Py_XDECREF(text);
  Py_XDECREF(kind);
  Py_XDECREF(value);
  Py_XDECREF(traceback);
  return true;
}
#elif PY_VERSION_HEX >= 0x030C0000
inline bool threads_are_allowed(PyObject*, bool& allowed) {
  allowed = _PyInterpreterState_HasFeature(PyInterpreterState_Get(), Py_RTFLAGS_THREADS) != 0;
  return true;
}
#else
inline bool threads_are_allowed(PyObject*, bool& allowed) {
  allowed = !_PyInterpreterState_GetConfig(PyInterpreterState_Get())->_isolated_interpreter;
  return true;
}
#endif

/// Reports the Python error that is set, which ended a thread that runs `function`.
inline void write_unraisable_of_thread(PyObject* function) {
#if PY_VERSION_HEX >= 0x030D0000
  PyErr_FormatUnraisable("Exception ignored in thread started by %R", function);
#else
  _PyErr_WriteUnraisableMsg("in thread started by", function);
#endif
}

/// Ends the making of a type: nobody may make instances of it, where `Py_TPFLAGS_` cannot say so.
inline PyTypeObject* seal(PyObject* type, [[maybe_unused]] bool has_instances) {
#if PY_VERSION_HEX < 0x030A0000
  if (type && !has_instances) reinterpret_cast<PyTypeObject*>(type)->tp_new = nullptr;
#endif
  return reinterpret_cast<PyTypeObject*>(type);
}

/// The first module in the line of a type's bases that `definition` has made, borrowed; null: a
/// Python error is set. Any of ours may have been subclassed by Python code.
inline PyObject* module_of(PyTypeObject* type, const PyModuleDef& definition) {
  for (; type; type = type->tp_base) {
    if (!PyType_HasFeature(type, Py_TPFLAGS_HEAPTYPE)) break;
    PyObject* const module = PyType_GetModule(type);
    if (module && PyModule_GetDef(module) == &definition) return module;
    PyErr_Clear();
  }
  PyErr_SetString(PyExc_TypeError, "not a type of _thread");
  return nullptr;
}

}  // namespace underthread::python
