#include "time_limit.h"

#include <underthread/deadline.h>
#include <underthread/ident.h>
#include <underthread/lot/wait.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "blocking.h"
#include "errors.h"
#include "inbox.h"
#include "lot/fork.h"
#include "module.h"
#include "os/futex.h"
#include "thread_start.h"

namespace underthread::python {

struct TimeLimit {
  PyObject_HEAD PyObject* seconds;  ///< as it was said
  std::int64_t patience;            ///< ns; lot::never: no limit
  // Guarded by InboxGuard, from here on.
  Ident ident;            ///< of the thread that is in the block; 0: none
  std::int64_t deadline;  ///< ns of the monotonic clock
  Token token;            ///< of the TimeoutError that was sent for this block; 0: none
  bool expired;           ///< since it was last entered
  bool is_listed;         ///< among those whose time is not up, the earliest first
  TimeLimit* next;
};

namespace {

/// How long the timekeeper sleeps at most, and stays when no limit is in force: ns. Limits often
/// come one behind another, and are left before they are over: whoever enters one or leaves it
/// wakes nobody, unless it is over before the timekeeper would look.
constexpr std::int64_t longest_sleep = 1'000'000'000;

TimeLimit* object(PyObject* self) {
  return reinterpret_cast<TimeLimit*>(self);
}

std::uint32_t this_process() {
  return lot::fork_count.load(std::memory_order_relaxed);
}

/// A timekeeper of another process is not here.
bool is_time_kept(const ModuleState& state) {
  return state.has_timekeeper && state.timekeepers_process == this_process();
}

void unlist(ModuleState& state, TimeLimit* limit) {
  if (!limit->is_listed) return;
  TimeLimit** place = &state.limits;
  while (*place != limit) place = &(*place)->next;
  *place = limit->next;
  limit->is_listed = false;
}

void list(ModuleState& state, TimeLimit* limit) {
  TimeLimit** place = &state.limits;
  while (*place && (*place)->deadline <= limit->deadline) place = &(*place)->next;
  limit->next = *place;
  *place = limit;
  limit->is_listed = true;
}

/// Has the timekeeper look at the list again.
void ring(ModuleState& state) {
  Refusal none;
  if (state.bell.locked()) is_refused(none, [&] { state.bell.give_up(Hold::bare); });
}

/// Sends a TimeoutError to the thread that is in the block of `limit`, if it still is. A Python
/// error, for which there is nobody, is reported.
void expire(PyObject* module, TimeLimit* limit, Ident ident) {
  PyObject* const text = PyUnicode_FromFormat("the time limit of %S s is over", limit->seconds);
  PyObject* const error =
      text ? PyObject_CallFunctionObjArgs(PyExc_TimeoutError, text, nullptr) : nullptr;
  Py_XDECREF(text);
  if (error)
    send(module, ident, error, [limit, ident](Token token) {
      const bool is_wanted = limit->ident == ident && !limit->is_listed;
      if (is_wanted) limit->token = token;
      return is_wanted;
    });
  Py_XDECREF(error);
  if (PyErr_Occurred()) PyErr_WriteUnraisable(reinterpret_cast<PyObject*>(limit));
}

/// The timekeeper: a thread's function.
PyObject* keep_time(PyObject* module, PyObject*) {
  ModuleState& state = state_of(module);
  for (bool is_idle = false;;) {
    TimeLimit* due = nullptr;
    Ident ident = 0;
    std::int64_t until = 0;
    bool is_over = false;
    {
      const InboxGuard guard;
      const std::int64_t now = os::now();
      TimeLimit* const first = state.limits;
      if (first && first->deadline <= now) {
        due = first;
        ident = due->ident;
        due->expired = true;
        unlist(state, due);
        Py_INCREF(due);
      }
      is_over = !first && is_idle;
      if (is_over) state.has_timekeeper = false;
      until = first ? std::min(first->deadline, now + longest_sleep) : now + longest_sleep;
      state.timekeeper_wakes = until;
      is_idle = !first;
    }
    if (is_over) break;
    if (due) {
      expire(module, due, ident);
      Py_DECREF(due);
      continue;
    }
    const std::int64_t patience = std::max<std::int64_t>(until - os::now(), 0);
    const Blocked end = block(patience, Handlers::wait, nullptr, [&state](lot::Wait& wait) {
      return state.bell.acquire(Hold::bare, wait);
    });
    if (end == Blocked::done) is_idle = false;
    if (end == Blocked::raised) PyErr_WriteUnraisable(nullptr);
  }
  state.threads.fetch_add(1, std::memory_order_relaxed);
  Py_RETURN_NONE;
}

PyMethodDef keep_time_method = {"_underthread_keep_time", keep_time, METH_NOARGS, nullptr};
PyMethodDef after_fork_method = {"_underthread_after_fork", keep_time_after_fork, METH_NOARGS,
                                 nullptr};

/// In the child of a fork only the thread that forked goes on, and its limits with it.
bool keep_time_in_children(PyObject* module, ModuleState& state) {
  if (state.watches_forks) return true;
  PyObject* const posix = PyImport_ImportModule("posix");
  PyObject* const function = posix ? PyObject_GetAttrString(posix, "register_at_fork") : nullptr;
  PyObject* const none = function ? PyTuple_New(0) : nullptr;
  PyObject* const ours = none ? PyCFunction_New(&after_fork_method, module) : nullptr;
  PyObject* const names = ours ? Py_BuildValue("{sO}", "after_in_child", ours) : nullptr;
  PyObject* const done = names ? PyObject_Call(function, none, names) : nullptr;
  Py_XDECREF(names);
  Py_XDECREF(ours);
  Py_XDECREF(none);
  Py_XDECREF(function);
  Py_XDECREF(posix);
  Py_XDECREF(done);
  state.watches_forks = done != nullptr;
  return done != nullptr;
}

/// Starts the timekeeper where there is none. @return false: a Python error is set
bool keep_time_from_now_on(PyObject* module, ModuleState& state) {
  if (!keep_time_in_children(module, state)) return false;
  {
    const InboxGuard guard;
    if (is_time_kept(state)) return true;
    state.has_timekeeper = true;
    state.timekeepers_process = this_process();
    state.timekeeper_wakes = 0;  // it will look at the list before it sleeps
    // The one that rang it, or was to hear it, may not be here.
    state.bell.at_fork_reinit();
  }
  PyObject* const function = PyCFunction_New(&keep_time_method, module);
  PyObject* const arguments = function ? Py_BuildValue("O()", function) : nullptr;
  PyObject* const ident = arguments ? start_new_thread(module, arguments) : nullptr;
  Py_XDECREF(arguments);
  Py_XDECREF(function);
  Py_XDECREF(ident);
  if (ident) {
    // Not counted: the program has not started it.
    state.threads.fetch_sub(1, std::memory_order_relaxed);
    return true;
  }
  const InboxGuard guard;
  state.has_timekeeper = false;
  return false;
}

PyObject* enter(PyObject* self, PyObject*) {
  PyObject* const module = PyType_GetModule(Py_TYPE(self));
  if (!module) return nullptr;
  ModuleState& state = state_of(module);
  TimeLimit* const limit = object(self);
  const bool is_limited = limit->patience != lot::never;
  // Before it is in force: a thread may have to start, and other Python code may run meanwhile.
  if (is_limited && !keep_time_from_now_on(module, state)) return nullptr;
  bool was_free = false;
  {
    const InboxGuard guard;
    was_free = limit->ident == 0;
    if (was_free) {
      limit->ident = get_ident();
      limit->expired = false;
      limit->token = 0;
    }
    if (was_free && is_limited) {
      limit->deadline = moment_in(std::chrono::nanoseconds(limit->patience));
      list(state, limit);
      if (limit->deadline < state.timekeeper_wakes) ring(state);
    }
  }
  if (was_free) return Py_NewRef(self);
  PyErr_SetString(PyExc_RuntimeError, "this time limit is in force already");
  return nullptr;
}

PyObject* exit(PyObject* self, PyObject*) {
  PyObject* const module = PyType_GetModule(Py_TYPE(self));
  if (!module) return nullptr;
  ModuleState& state = state_of(module);
  TimeLimit* const limit = object(self);
  Ident ident = 0;
  Token token = 0;
  {
    const InboxGuard guard;
    ident = limit->ident;
    if (ident == get_ident()) {
      unlist(state, limit);
      token = limit->token;
      limit->ident = 0;
      limit->token = 0;
    }
  }
  if (ident != get_ident()) {
    PyErr_SetString(PyExc_RuntimeError, ident == 0
                                            ? "this time limit is not in force"
                                            : "this time limit is in force in another thread");
    return nullptr;
  }
  // What was sent and not raised was for the block, which has been left.
  if (token != 0) take_back(state, token);
  Py_RETURN_NONE;
}

PyObject* make(PyTypeObject* type, PyObject* arguments, PyObject* names) {
  static const char* const keywords[] = {"seconds", nullptr};
  PyObject* seconds = nullptr;
  if (!PyArg_ParseTupleAndKeywords(arguments, names, "O:time_limit", const_cast<char**>(keywords),
                                   &seconds))
    return nullptr;
  std::int64_t patience = lot::never;
  if (seconds != Py_None) {
    if (!seconds_to_nanoseconds(seconds, patience)) return nullptr;
    if (patience < 0) {
      PyErr_SetString(PyExc_ValueError, "a time limit must be a non-negative number of seconds");
      return nullptr;
    }
  }
  PyObject* const self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  object(self)->seconds = Py_NewRef(seconds);
  object(self)->patience = patience;
  return self;
}

void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject* const module = PyType_GetModule(type);
  if (module) {
    // A thread that ended in its block has not left it.
    const InboxGuard guard;
    unlist(state_of(module), object(self));
  }
  Py_DECREF(object(self)->seconds);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* repr(PyObject* self) {
  return PyUnicode_FromFormat("time_limit(%R)", object(self)->seconds);
}

PyObject* get_expired(PyObject* self, void*) {
  const InboxGuard guard;
  return PyBool_FromLong(object(self)->expired);
}

PyMethodDef methods[] = {
    {"__enter__", enter, METH_NOARGS, nullptr},
    {"__exit__", exit, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef attributes[] = {
    {"expired", get_expired, nullptr,
     "Whether its time was up since the block was last entered, also where that ended before it\n"
     "could be told: so a TimeoutError from within can be told from one of the block's own.",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

const char documentation[] =
    "time_limit(seconds)\n--\n\n"
    "A block that takes no longer, to be used by `with`; None: as long as it likes.\n\n"
    "When the time is up a TimeoutError is raised in the block, where interrupt() would raise it, "
    "and\n"
    "never once the block has been left. Blocks may be nested; one object can be used again, but "
    "not\n"
    "within its own block. A ValueError for less than 0 seconds.";

}  // namespace

PyObject* keep_time_after_fork(PyObject* module, PyObject*) {
  ModuleState& state = state_of(module);
  if (state.limits && !keep_time_from_now_on(module, state)) return nullptr;
  Py_RETURN_NONE;
}

PyTypeObject* make_time_limit_type(PyObject* module) {
  PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(make)},
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_repr, reinterpret_cast<void*>(repr)},
      {Py_tp_methods, methods},
      {Py_tp_getset, attributes},
      {Py_tp_doc, const_cast<char*>(documentation)},
      {0, nullptr},
  };
  PyType_Spec spec = {"underthread.time_limit", sizeof(TimeLimit), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};
  return reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, nullptr));
}

}  // namespace underthread::python
