#include "threads/thread_start.h"

#include <underthread/thread.h>

#include <cstddef>
#include <new>

#include "cpython/errors.h"
#include "cpython/gil.h"
#include "interrupts/interrupts.h"
#include "interrupts/main_thread.h"
#include "interrupts/reserved_signal.h"
#include "interrupts/signal_fronts.h"
#include "latch.h"
#include "lot/thread_record.h"
#include "os/native_thread.h"
#include "state/module_state.h"
#include "threads/thread_bootstrap.h"
#include "threads/thread_handle.h"
#include "types/lock_object.h"

namespace underthread::python {
namespace {

#if !UNDERTHREAD_HAS_GIL
/// Where parent and child meet: on the parent's stack, which stays until `decided`. The child's
/// setting of that is the last that it does with it.
struct Meeting {
  Latch announced;  ///< the parent has said, in the handle, which thread the child is
  Latch decided;    ///< the child has a thread state, or could not make one
  bool has_state = false;
};
#endif

/// What a new thread needs. Made by the parent; the child owns it once it has a thread state, or
/// the GIL, and frees it then.
struct Start {
  PyObject* module;
  PyObject* function;
  PyObject* arguments;
  PyObject* keywords;  ///< null: none
  PyInterpreterState* interpreter;
  ThreadHandle* handle;  ///< null: the thread has none. A reference, the child's
  Bootstrap* bootstrap;  ///< null: nobody waits until it has begun
#if UNDERTHREAD_HAS_GIL
  PyThreadState* state = nullptr;
#else
  Meeting* meeting = nullptr;
  /// The parent is about to return. `Thread.start()` takes what a signal's handler raises before
  /// that for a start that has failed, and the child's first act may be such a signal.
  Latch returned{};
#endif
};

void drop(Start* start) {
  Py_DECREF(start->module);
  Py_DECREF(start->function);
  Py_DECREF(start->arguments);
  Py_XDECREF(start->keywords);
  forget_bootstrap(start->bootstrap);
  delete start;
}

// How the child comes to its thread state. `attach` is the child's, the others are the parent's.

#if UNDERTHREAD_HAS_GIL

// The parent makes it, as the interpreter does, and keeps the GIL until all is done that it does
// for the start. A child that has the GIL so finds it done, and neither waits for the other.
// Before, the child made it and the parent waited: one hand-off more.

/// Calls `begin_thread`, which sets `ident` or throws where there is no thread. False: there is
/// none, a Python error is set, and `start` is the caller's.
template <class Begin>
bool begin_with_state(ModuleState& state, Start& start, const Ident& ident, Begin begin_thread) {
  start.state = make_thread_state(start.interpreter);
  if (!start.state) {
    PyErr_NoMemory();
    return false;
  }
  if (raises(begin_thread)) {
    discard_thread_state(start.state);
    return false;
  }
  start.state->thread_id = ident;
  // Counted before it can end.
  state.threads.fetch_add(1, std::memory_order_relaxed);
  return true;
}

/// False: it could not, and is to touch nothing more.
bool attach(Start* start) {
  acquire_with_new_state(start->state);
  return true;
}

#else

// The child makes it, since it belongs to the thread that makes it from the first moment. That may
// have to stop all threads, so the parent waits detached; the gate keeps the interpreter's end
// away.

/// Waits, not to be interrupted, for what is sure to come. Both sides have a record: the parent has
/// started a thread, and the child is one.
void wait_for(Latch& latch) {
  lot::Wait wait;
  latch.wait(*lot::current(), wait);
}

template <class Begin>
bool begin_with_state(ModuleState& state, Start& start, const Ident&, Begin begin_thread) {
  Meeting meeting;
  start.meeting = &meeting;
  if (raises(begin_thread)) {
    state.starts.leave();
    return false;
  }
  // Counted before it can end.
  state.threads.fetch_add(1, std::memory_order_relaxed);
  meeting.announced.set();
  without_gil([&] { wait_for(meeting.decided); });
  if (meeting.has_state) {
    start.returned.set();
    return true;
  }
  state.threads.fetch_sub(1, std::memory_order_relaxed);
  PyErr_NoMemory();
  return false;
}

bool attach(Start* start) {
  Meeting* const meeting = start->meeting;
  // Whoever joins looks into the handle as soon as this thread has run.
  wait_for(meeting->announced);
  PyThreadState* const state = PyThreadState_New(start->interpreter);
  meeting->has_state = state != nullptr;
  state_of(start->module).starts.leave();
  // After this `start` is ours, or not to be touched.
  meeting->decided.set();
  if (!state) return false;
  wait_for(start->returned);
  PyEval_AcquireThread(state);
  return true;
}

#endif

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
  if (start->handle) {
    start->handle->start(child);
    ident = start->handle->ident();
  } else {
    ident = underthread::start_new_thread(child);
  }
}
#endif

// Ends by returning or, when the interpreter ends first, by being unwound wherever it takes the
// GIL or by sleeping there for ever: nothing here has a destructor.
void run(Start* start) {
  ThreadHandle* const handle = start->handle;
  if (!attach(start)) return;
#if !UNDERTHREAD_NAMES_THREADS
  if (start->bootstrap) name_this_thread(start->function);
#endif

  PyObject* const result = PyObject_Call(start->function, start->arguments, start->keywords);
  Py_XDECREF(result);
  end_bootstrap(state_of(start->module), start->bootstrap, start->function);
  start->bootstrap = nullptr;
  if (PyErr_ExceptionMatches(PyExc_SystemExit)) PyErr_Clear();
  if (PyErr_Occurred()) write_unraisable_of_thread(start->function);
  state_of(start->module).threads.fetch_sub(1, std::memory_order_relaxed);
  if (Interrupts* const interrupts = state_of(start->module).interrupts)
    forget_mailbox(*interrupts);
  Interrupts* const all = state_of(start->module).interrupts;
  drop(start);
  PyThreadState_Clear(PyThreadState_Get());
  // What was sent while destructors ran.
  if (all) forget_mailbox(*all);
  PyThreadState_DeleteCurrent();
  end(handle);
}

/// A pending call, in the main thread, soon after it has started a thread: from now on others may
/// interrupt it. Not in the start itself: a signal's handler may run here, and what that raised
/// there would count as a start that has failed.
int learn_main(void*) {
  Interrupts* const all = is_finalizing() ? nullptr : main_interrupts();
  if (!all) return 0;
  if (!learn(*all)) return -1;
  return 0;
}

/// In the main thread, which is about to start a thread: others may interrupt it, or take its
/// signals, from then on. Before the start: until that returns its caller takes what a handler
/// raises for a start that has failed, and the new thread may send a signal at once.
void share_signals(const ModuleState& state) {
  if (!state.interrupts || !runs_handlers_here()) return;
  // A worker may have been the first to use anything of ours.
  if (!state.interrupts->hears_of_forks || (reserved_signal() == 0 && may_use_signals()))
    Py_AddPendingCall(learn_main, nullptr);
  put_fronts();
}

/// Starts a thread that calls `function`. False: a Python error is set.
/// @param handle  null: none; else a reference, which goes to the thread
/// @param ident   set to the thread's
bool start(PyObject* module, PyObject* function, PyObject* positional, PyObject* keywords,
           ThreadHandle* handle, Ident& ident) {
  ModuleState& state = state_of(module);
  if (!state.threads_are_allowed) {
    PyErr_SetString(PyExc_RuntimeError, "thread is not supported for isolated subinterpreters");
    give_up(handle);
    return false;
  }
  Bootstrap* bootstrap = nullptr;
  if (!expect_bootstrap(function, bootstrap)) {
    give_up(handle);
    return false;
  }
  close_at_the_end(module);
  // Where the interpreter lets a thread start while it ends, that will not get to run: nobody may
  // wait for it.
  if (refuses_threads() || (bootstrap && is_finalizing()) || !state.starts.enter()) {
    refuse_at_the_end("can't create new thread at interpreter shutdown");
    forget_bootstrap(bootstrap);
    give_up(handle);
    return false;
  }
  Start* const start = new (std::nothrow) Start{Py_NewRef(module),
                                                Py_NewRef(function),
                                                Py_NewRef(positional),
                                                Py_XNewRef(keywords),
                                                PyInterpreterState_Get(),
                                                handle,
                                                bootstrap};
  if (!start) {
    state.starts.leave();
    PyErr_NoMemory();
    forget_bootstrap(bootstrap);
    give_up(handle);
    return false;
  }
  share_signals(state);
  if (begin_with_state(state, *start, ident, [&] { begin(start, run, ident); })) return true;
  drop(start);
  give_up(handle);
  return false;
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
  if (!start(module, function, positional, keywords, nullptr, ident)) return nullptr;
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
  if (object && none && handle_of(object).begin_start()) {
    ThreadHandle& handle = handle_of(object);
    // Before the thread can have ended.
    if (!daemon) handle.await(state);
    handle.refer();
    Ident ident = 0;
    started = start(module, function, none, nullptr, &handle, ident);
    if (!started && !daemon) handle.forget();
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
  if (text && me) {
    lot::set_name(*me, {text, static_cast<std::size_t>(size)});
    // The interpreter may have cut it in the middle of a character.
    os::set_thread_name(text);
  } else {
    PyErr_Clear();
  }
  return done;
}
#endif

}  // namespace underthread::python
