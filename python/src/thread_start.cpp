#include "thread_start.h"

#include <underthread/thread.h>

#include <cstddef>
#include <new>

#include "beginning.h"
#include "blocking.h"
#include "errors.h"
#include "inbox.h"
#include "latch.h"
#include "lock_object.h"
#include "lot/thread_record.h"
#include "module.h"
#include "signal_slot.h"
#include "thread_handle.h"

namespace underthread::python {
namespace {

/// Where parent and child meet: on the parent's stack, which stays until `decided`. The child's
/// setting of that is the last that it does with it.
struct Meeting {
  Latch announced;  ///< the parent has said, in the handle, which thread the child is
  Latch decided;    ///< the child has a thread state, or could not make one
  bool has_state = false;
};

/// What a new thread needs. Made by the parent; the child owns it from the moment that it has a
/// thread state, and frees it once it is attached to the interpreter.
struct Start {
  PyObject* module;
  PyObject* function;
  PyObject* arguments;
  PyObject* keywords;  ///< null: none
  PyInterpreterState* interpreter;
  ThreadHandle* handle;  ///< null: the thread has none. A reference, the child's
  PyObject* beginning;   ///< null: the starter does not wait until it has begun
  Meeting* meeting;
};

void drop(Start* start) {
  Py_DECREF(start->module);
  Py_DECREF(start->function);
  Py_DECREF(start->arguments);
  Py_XDECREF(start->keywords);
  Py_XDECREF(start->beginning);
  delete start;
}

/// Waits, not to be interrupted, for what is sure to come. Both sides have a record: the parent has
/// started a thread, and the child is one.
void wait_for(Latch& latch) {
  lot::Wait wait;
  latch.wait(*lot::current(), wait);
}

// A handle's part in a thread's life.
#if UNDERTHREAD_HAS_SENTINEL
void give_up(ThreadHandle*) {}
void end(ThreadHandle*) {}
void begin(Start* start, void (*run)(Start*), Ident& ident) {
  ident = underthread::start_new_thread([start, run] { run(start); });
}
#else
void give_up(ThreadHandle* handle) {
  if (!handle) return;
  handle->cancel_start();
  handle->drop();
}
void end(ThreadHandle* handle) {
  if (!handle) return;
  handle->thread_ends();
  handle->drop();
}
void begin(Start* start, void (*run)(Start*), Ident& ident) {
  const auto child = [start, run] { run(start); };
  if (start->handle)
    start->handle->start(child);
  else
    ident = underthread::start_new_thread(child);
}
#endif

// Ends by returning or, when the interpreter ends first, by being unwound wherever it takes the
// GIL or by sleeping there for ever: nothing here has a destructor.
void run(Start* start) {
  Meeting* const meeting = start->meeting;
  ThreadHandle* const handle = start->handle;
  // Whoever joins looks into the handle as soon as this thread has run.
  wait_for(meeting->announced);
  PyThreadState* const state = new_thread_state(start->interpreter);
  meeting->has_state = state != nullptr;
  state_of(start->module).starts.leave();
  // After this `start` is ours, or not to be touched.
  meeting->decided.set();
  if (!state) return;
  PyEval_AcquireThread(state);

  PyObject* const result = PyObject_Call(start->function, start->arguments, start->keywords);
  Py_XDECREF(result);
  forget_thread(start->function);
  end_beginning(state_of(start->module), start->beginning);
  if (PyErr_ExceptionMatches(PyExc_SystemExit)) PyErr_Clear();
  if (PyErr_Occurred()) write_unraisable_of_thread(start->function);
  state_of(start->module).threads.fetch_sub(1, std::memory_order_relaxed);
  forget_inbox(state_of(start->module));
  drop(start);
  PyThreadState_Clear(state);
  PyThreadState_DeleteCurrent();
  end(handle);
}

/// Starts a thread that calls `function`. False: a Python error is set.
/// @param handle     null: none; else a reference, which goes to the thread
/// @param beginning  null: none; else the thread gets one more reference
/// @param ident      set to the thread's, where it has no handle
bool launch(PyObject* module, PyObject* function, PyObject* positional, PyObject* keywords,
            ThreadHandle* handle, PyObject* beginning, Ident& ident) {
  ModuleState& state = state_of(module);
  if (!state.threads_are_allowed) {
    PyErr_SetString(PyExc_RuntimeError, "thread is not supported for isolated subinterpreters");
    give_up(handle);
    return false;
  }
  close_at_the_end(module);
  // Where the interpreter lets a thread start while it ends, that will not get to run: nobody may
  // wait for it.
  if (refuses_threads() || (beginning && is_finalizing()) || !state.starts.enter()) {
    refuse_at_the_end("can't create new thread at interpreter shutdown");
    give_up(handle);
    return false;
  }
  Meeting meeting;
  Start* const start = new (std::nothrow) Start{Py_NewRef(module),        Py_NewRef(function),
                                                Py_NewRef(positional),    Py_XNewRef(keywords),
                                                PyInterpreterState_Get(), handle,
                                                Py_XNewRef(beginning),    &meeting};
  if (!start) {
    state.starts.leave();
    PyErr_NoMemory();
    give_up(handle);
    return false;
  }
  if (raises([&] { begin(start, run, ident); })) {
    state.starts.leave();
    drop(start);
    give_up(handle);
    return false;
  }
  // Counted before it can end.
  state.threads.fetch_add(1, std::memory_order_relaxed);
  meeting.announced.set();
  // Where there is a GIL the parent waits for the child with it, on purpose: so the interpreter
  // cannot begin to end between the start and the child's thread state, and the child needs no GIL
  // to get there. Where there is none, a new thread state may have to stop all threads, and the
  // parent must let itself be stopped; the gate keeps the end away.
#if UNDERTHREAD_HAS_GIL
  wait_for(meeting.decided);
#else
  without_gil([&] { wait_for(meeting.decided); });
#endif
  if (meeting.has_state) return true;
  state.threads.fetch_sub(1, std::memory_order_relaxed);
  drop(start);
  end(handle);
  PyErr_NoMemory();
  return false;
}

/// The same, and waits until the thread has begun where its starter would wait for that next.
/// @param is_there  set to whether there is a thread, whatever this returns
bool start(PyObject* module, PyObject* function, PyObject* positional, PyObject* keywords,
           ThreadHandle* handle, Ident& ident, bool& is_there) {
  is_there = false;
  // From here on there may be a thread that interrupts this one.
  PyObject* beginning = nullptr;
  if (!claim_signal_slot() || !expect_beginning(state_of(module), function, beginning)) {
    give_up(handle);
    return false;
  }
  if (!launch(module, function, positional, keywords, handle, beginning, ident)) {
    expect_nothing(function, beginning);
    return false;
  }
  return wait_for_beginning(function, beginning, is_there);
}

#if UNDERTHREAD_HAS_SENTINEL
/// The main thread's or a child's: called by the interpreter when a thread state goes, with the
/// GIL.
void release_sentinel(void* reference) {
  PyObject* const weak = static_cast<PyObject*>(reference);
  PyObject* const lock = PyWeakref_GET_OBJECT(weak);
  if (lock != Py_None) release_if_held(lock);
  Py_DECREF(weak);
}
#endif

}  // namespace

bool find_whether_threads_are_allowed(ModuleState& state) {
  return threads_are_allowed(state.stock, state.threads_are_allowed);
}

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
  if (start_is_audited && PySys_Audit("_thread.start_new_thread", "OOO", function, positional,
                                      keywords ? keywords : Py_None) < 0)
    return nullptr;
  Ident ident = 0;
  bool is_there = false;
  if (!start(module, function, positional, keywords, nullptr, ident, is_there)) return nullptr;
  return PyLong_FromUnsignedLong(ident);
}

#if !UNDERTHREAD_HAS_SENTINEL
PyObject* start_joinable_thread(PyObject* module, PyObject* arguments, PyObject* names) {
  static const char* const keywords[] = {"function", "handle", "daemon", nullptr};
  PyObject* function = nullptr;
  PyObject* given = Py_None;
  int daemon = 1;
  if (!PyArg_ParseTupleAndKeywords(arguments, names, "O|Op:start_joinable_thread",
                                   const_cast<char**>(keywords), &function, &given, &daemon))
    return nullptr;
  if (!PyCallable_Check(function)) {
    PyErr_SetString(PyExc_TypeError, "thread function must be callable");
    return nullptr;
  }
  ModuleState& state = state_of(module);
  if (given != Py_None && !Py_IS_TYPE(given, state.handle_type)) {
    PyErr_SetString(PyExc_TypeError, "'handle' must be a _ThreadHandle");
    return nullptr;
  }
  if (PySys_Audit("_thread.start_joinable_thread", "OiO", function, daemon, given) < 0)
    return nullptr;

  PyObject* const object = given == Py_None ? new_handle(state.handle_type) : Py_NewRef(given);
  PyObject* const none = PyTuple_New(0);
  bool started = false;
  bool is_there = false;
  if (object && none && handle_of(object).begin_start()) {
    ThreadHandle& handle = handle_of(object);
    // Before the thread can have ended.
    if (!daemon) handle.await(state);
    handle.refer();
    Ident ident = 0;
    started = start(module, function, none, nullptr, &handle, ident, is_there);
    if (!is_there && !daemon) handle.forget();
  }
  Py_XDECREF(none);
  if (started) return object;
  Py_XDECREF(object);
  return nullptr;
}
#endif

PyObject* count(PyObject* module, PyObject*) {
  ModuleState& state = state_of(module);
  PyObject* const theirs = PyObject_CallMethod(state.stock, "_count", nullptr);
  if (!theirs) return nullptr;
  const Py_ssize_t number = PyLong_AsSsize_t(theirs);
  Py_DECREF(theirs);
  if (number < 0) return nullptr;
  return PyLong_FromSsize_t(number + state.threads.load(std::memory_order_relaxed));
}

#if UNDERTHREAD_HAS_SENTINEL
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
  make_sentinel(lock);
  PyObject* const weak = PyWeakref_NewRef(lock, nullptr);
  if (!weak) {
    Py_DECREF(lock);
    return nullptr;
  }
  state->on_delete_data = weak;
  state->on_delete = release_sentinel;
  return lock;
}
#endif

PyObject* stack_size(PyObject* module, PyObject* arguments) {
  // The interpreter checks the number, in its words, and keeps it as it was said; the library's
  // rounding to pages does not show.
  PyObject* const function = PyObject_GetAttrString(state_of(module).stock, "stack_size");
  if (!function) return nullptr;
  const std::size_t old = PyThread_get_stacksize();
  PyObject* const result = PyObject_Call(function, arguments, nullptr);
  Py_DECREF(function);
  if (result && !adopt_stack_size()) {
    PyThread_set_stacksize(old);
    Py_DECREF(result);
    return nullptr;
  }
  return result;
}

bool adopt_stack_size() {
  return !raises([] { underthread::stack_size(PyThread_get_stacksize()); });
}

PyObject* exit_thread(PyObject*, PyObject*) {
  PyErr_SetNone(PyExc_SystemExit);
  return nullptr;
}

#if UNDERTHREAD_NAMES_THREADS
PyObject* set_name(PyObject* module, PyObject* arguments, PyObject* names) {
  // The interpreter knows what may be given, and how the system wants it; the library shows it too.
  PyObject* const function = PyObject_GetAttrString(state_of(module).stock, "set_name");
  PyObject* const done = function ? PyObject_Call(function, arguments, names) : nullptr;
  Py_XDECREF(function);
  if (!done) return nullptr;
  PyObject* const name = PyTuple_GET_SIZE(arguments) > 0 ? PyTuple_GET_ITEM(arguments, 0)
                                                         : PyDict_GetItemString(names, "name");
  Py_ssize_t size = 0;
  const char* const text = name ? PyUnicode_AsUTF8AndSize(name, &size) : nullptr;
  lot::ThreadRecord* const me = lot::current();
  if (text && me)
    lot::set_name(*me, std::string(text, static_cast<std::size_t>(size)));
  else
    PyErr_Clear();
  return done;
}
#endif

}  // namespace underthread::python
