#include "interrupts/time_limit.h"

#include <underthread/deadline.h>
#include <underthread/lot/wait.h>

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstring>

#include "interrupts/guard.h"
#include "interrupts/interrupts.h"
#include "interrupts/limit.h"
#include "interrupts/main_thread.h"
#include "interrupts/timekeeper.h"
#include "lot/thread_record.h"
#include "os/futex.h"

namespace underthread::python {
namespace {

/// How far outside of the frame that enters a block a generator or a coroutine is looked for: in
/// between may be what enters it for somebody, as contextlib.ExitStack does.
constexpr int frames_to_look_at = 32;

/// Seconds: how soon a task is cancelled after the end of a hold that put it off, at the latest.
constexpr double pause_while_held = 0.01;

/// Seconds: what fits into the clock's nanoseconds, as `_thread.TIMEOUT_MAX`.
constexpr double longest = 9223372036.0;

#if UNDERTHREAD_HAS_GIL
constexpr unsigned long limits_are_weakly_referenced = 0;
#else
constexpr unsigned long limits_are_weakly_referenced = Py_TPFLAGS_MANAGED_WEAKREF;
#endif

TimeLimit* object(PyObject* self) {
  return reinterpret_cast<TimeLimit*>(self);
}

bool is_here(const TimeLimit& limit) {
  const lot::ThreadRecord* const me = lot::current();
  return limit.ident == get_ident() && (!me || limit.holder == 0 || limit.holder == me->holder);
}

/// The innermost frame of a generator or a coroutine that this code is in, a reference; null: there
/// is none near enough. `function`, a reference: the frame of the function that it has called on
/// the way to this code, which cannot be suspended; null: none. Where that enters the block for
/// somebody, as contextlib.ExitStack does, it goes on when what it called has returned.
PyObject* find_frame(PyObject*& function) {
  PyFrameObject* frame = PyEval_GetFrame();
  PyObject* below = nullptr;
  Py_XINCREF(frame);
  for (int depth = 0; frame && depth < frames_to_look_at; ++depth) {
    const int flags = code_flags_of(frame);
    if ((flags & suspendable_flags) != 0) {
      function = below;
      return reinterpret_cast<PyObject*>(frame);
    }
    Py_XSETREF(below, reinterpret_cast<PyObject*>(frame));
    frame = PyFrame_GetBack(frame);
  }
  Py_XDECREF(below);
  Py_XDECREF(frame);
  return nullptr;
}

/// `module.function(argument)`, of a module that has been imported. Null: a Python error is set,
/// or, and no error, it has not been.
PyObject* call_imported(const char* module, const char* function, PyObject* argument) {
  PyObject* const name = PyUnicode_FromString(module);
  PyObject* const imported = name ? PyImport_GetModule(name) : nullptr;
  PyObject* const result =
      imported ? PyObject_CallMethod(imported, function, argument ? "O" : nullptr, argument)
               : nullptr;
  Py_XDECREF(imported);
  Py_XDECREF(name);
  return result;
}

/// asyncio's loop of this thread, if that is running one. As above.
PyObject* running_loop() {
  PyObject* const loop = call_imported("asyncio.events", "_get_running_loop", nullptr);
  if (loop != Py_None) return loop;
  Py_DECREF(loop);
  return nullptr;
}

/// `object.name`, a reference; null and no error: it has none, or None.
PyObject* get(PyObject* object, const char* name) {
  PyObject* const value = PyObject_GetAttrString(object, name);
  if (!value && PyErr_ExceptionMatches(PyExc_AttributeError)) PyErr_Clear();
  if (value != Py_None) return value;
  Py_DECREF(value);
  return nullptr;
}

/// Whether an object is one of the interpreter's that stand between a coroutine and the coroutine
/// or async generator that it waits for, and have no attribute for that.
bool is_opaque(PyObject* object) {
  const PyTypeObject* const type = Py_TYPE(object);
  if ((type->tp_flags & Py_TPFLAGS_HEAPTYPE) != 0 || !type->tp_traverse) return false;
  for (const char* const name :
       {"async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "anext_awaitable"})
    if (std::strcmp(type->tp_name, name) == 0) return true;
  return false;
}

int pick_awaited(PyObject* object, void* picked) {
  if (!PyCoro_CheckExact(object) && !PyGen_CheckExact(object) && !PyAsyncGen_CheckExact(object) &&
      !is_opaque(object))
    return 0;
  *static_cast<PyObject**>(picked) = Py_NewRef(object);
  return 1;
}

/// What a coroutine, a generator or an async generator waits for, and its frame: references; null:
/// none, or a Python error is set.
PyObject* awaited_by(PyObject* object, PyObject*& frame) {
  frame = nullptr;
  if (is_opaque(object)) {
    // What it drives comes before what it sends to that.
    PyObject* awaited = nullptr;
    Py_TYPE(object)->tp_traverse(object, pick_awaited, &awaited);
    return awaited;
  }
  constexpr const char* kinds[][2] = {
      {"cr_frame", "cr_await"}, {"gi_frame", "gi_yieldfrom"}, {"ag_frame", "ag_await"}};
  for (const auto& [its_frame, awaited] : kinds) {
    frame = get(object, its_frame);
    if (frame) return get(object, awaited);
    if (PyErr_Occurred()) return nullptr;
  }
  return nullptr;
}

/// Whether a task waits, by way of that frame. -1: a Python error is set.
int waits_in(PyObject* task, PyObject* frame) {
  constexpr int deepest = 10000;
  // What a step of an async generator was run by knows the generator when that goes on without it.
  PyObject* const is_done = PyObject_CallMethod(task, "done", nullptr);
  const int done = is_done ? PyObject_IsTrue(is_done) : -1;
  Py_XDECREF(is_done);
  if (done != 0) return done > 0 ? 0 : -1;
  PyObject* each = PyObject_CallMethod(task, "get_coro", nullptr);
  bool found = false;
  for (int depth = 0; each && !found && depth < deepest && !PyErr_Occurred(); ++depth) {
    PyObject* own = nullptr;
    PyObject* const next = awaited_by(each, own);
    found = own == frame;
    Py_XDECREF(own);
    Py_DECREF(each);
    each = next;
  }
  Py_XDECREF(each);
  return PyErr_Occurred() ? -1 : found;
}

/// The text of a limit that is over, with what is known about why.
PyObject* text_of(const TimeLimit& limit, const char* what, std::int64_t took) {
  if (what)
    return PyUnicode_FromFormat("the time limit of %U s is over (waiting for %s)", limit.shown,
                                what);
  if (took == 0) return PyUnicode_FromFormat("the time limit of %U s is over", limit.shown);
  char seconds[32];
  std::snprintf(seconds, sizeof seconds, "%.3f", static_cast<double>(took) * 1e-9);
  return PyUnicode_FromFormat("the time limit of %U s is over (its block took %s s)", limit.shown,
                              seconds);
}

PyObject* cancel_task(PyObject* self, PyObject*);

PyMethodDef cancel_task_method = {"_underthread_cancel_task", cancel_task, METH_NOARGS, nullptr};

/// Has the loop call `cancel_task` after that time, unless the block is left before. @return false:
/// a Python error is set
bool set_timer(TimeLimit& limit, PyObject* loop, double seconds) {
  PyObject* const self = reinterpret_cast<PyObject*>(&limit);
  PyObject* const function = PyCFunction_New(&cancel_task_method, self);
  PyObject* const timer =
      function ? PyObject_CallMethod(loop, "call_later", "dO", seconds, function) : nullptr;
  Py_XDECREF(function);
  if (timer) Py_XSETREF(limit.timer, timer);
  return timer != nullptr;
}

/// The loop calls `cancel_task` once more. @return None; null: a Python error is set
PyObject* look_again(TimeLimit& limit, double seconds) {
  PyObject* const loop = running_loop();
  const bool well = loop ? set_timer(limit, loop, seconds) : !PyErr_Occurred();
  Py_XDECREF(loop);
  return well ? Py_NewRef(Py_None) : nullptr;
}

/// How often a task has been asked to cancel; -1: it does not count that, as before 3.11, or, if
/// `PyErr_Occurred()`, an error.
Py_ssize_t cancelling(PyObject* task) {
  PyObject* const number = PyObject_CallMethod(task, "cancelling", nullptr);
  if (!number) {
    if (PyErr_ExceptionMatches(PyExc_AttributeError)) PyErr_Clear();
    return -1;
  }
  const Py_ssize_t result = PyLong_AsSsize_t(number);
  Py_DECREF(number);
  return result;
}

/// Sets `limit.task` to the task that waits in the block: the one that has entered it, or another
/// one that has its generator now. @return false: there is none, or a Python error is set
bool find_waiting_task(TimeLimit& limit) {
  const int waits = waits_in(limit.task, limit.frame);
  if (waits != 0) return waits > 0;
  PyObject* const tasks = call_imported("asyncio.tasks", "all_tasks", nullptr);
  PyObject* const each = tasks ? PyObject_GetIter(tasks) : nullptr;
  bool is_found = false;
  while (PyObject* const task =
             each && !is_found && !PyErr_Occurred() ? PyIter_Next(each) : nullptr) {
    is_found = waits_in(task, limit.frame) > 0;
    if (is_found) {
      limit.cancelling = cancelling(task);
      is_found = !PyErr_Occurred();
      Py_XSETREF(limit.task, Py_NewRef(task));
    }
    Py_DECREF(task);
  }
  Py_XDECREF(each);
  Py_XDECREF(tasks);
  return is_found && !PyErr_Occurred();
}

/// What a task's loop calls when the time of a block in it is up. If the task is suspended in it,
/// nobody can raise there; so it is cancelled, and the end of the block makes that a TimeoutError.
PyObject* cancel_task(PyObject* self, PyObject*) {
  TimeLimit& limit = *object(self);
  Interrupts* const all = interrupts_of(Py_TYPE(self));
  if (!all) return nullptr;
  if (!limit.task || limit.was_raised || limit.has_cancelled) Py_RETURN_NONE;
  if (is_held(*all)) {
    // Maybe in another task, and then the end of that does not come to this one.
    return look_again(limit, pause_while_held);
  }
  const std::int64_t now = os::now();
  if (now < limit.deadline) {
    // A loop's clock may be coarse; and it may be the call of an earlier block, which nobody has
    // left.
    return look_again(limit, static_cast<double>(limit.deadline - now) * 1e-9);
  }
  // The task may have left the block's generator to another, or wait for something else in it.
  if (!find_waiting_task(limit)) {
    if (PyErr_Occurred()) return nullptr;
    const std::int64_t next = next_look(limit.deadline, now);
    return look_again(limit, static_cast<double>(next - now) * 1e-9);
  }
  // From here on it is the task's: nothing is raised in its thread.
  const Ident ident = limit.ident;
  leave(*all, limit);
  limit.ident = ident;
  limit.expired = true;
  // Where the task does not count them, it is told by its text whose a cancellation is.
  Py_XSETREF(limit.message, text_of(limit, nullptr, 0));
  PyObject* const done = !limit.message ? nullptr
                         : limit.cancelling >= 0
                             ? PyObject_CallMethod(limit.task, "cancel", nullptr)
                             : PyObject_CallMethod(limit.task, "cancel", "O", limit.message);
  limit.has_cancelled = done != nullptr;
  return done;
}

PyTracebackObject* traceback_of(PyObject* error) {
  PyObject* const traceback = PyException_GetTraceback(error);
  // The exception keeps it.
  Py_XDECREF(traceback);
  return reinterpret_cast<PyTracebackObject*>(traceback);
}

/// Whether an exception was raised by a `raise`, and did not come where code waited.
bool was_raised_by_code(PyObject* error) {
  const PyTracebackObject* innermost = traceback_of(error);
  if (!innermost) return false;
  while (innermost->tb_next) innermost = innermost->tb_next;
  PyCodeObject* const code = PyFrame_GetCode(innermost->tb_frame);
  PyObject* const bytes = PyObject_GetAttrString(reinterpret_cast<PyObject*>(code), "co_code");
  Py_DECREF(code);
  if (!bytes) PyErr_Clear();
  const bool is_raise = bytes && PyBytes_Check(bytes) && innermost->tb_lasti >= 0 &&
                        innermost->tb_lasti < PyBytes_GET_SIZE(bytes) &&
                        static_cast<unsigned char>(PyBytes_AS_STRING(bytes)[innermost->tb_lasti]) ==
                            raise_instruction;
  Py_XDECREF(bytes);
  return is_raise;
}

/// Whether two exceptions have come through one call of a function, coroutine or generator.
bool share_a_frame(PyObject* one, PyObject* another) {
  const PyTracebackObject* const first = traceback_of(another);
  for (const PyTracebackObject* each = traceback_of(one); each; each = each->tb_next)
    for (const PyTracebackObject* its = first; its; its = its->tb_next)
      if (its->tb_frame == each->tb_frame) return true;
  return false;
}

/// Whether an exception goes back to our cancellation, which is told by its text. On its way to the
/// block that may have been replaced: by the CancelledError that a task gets when another that it
/// waits for ends by one, and by one that code has raised when it caught ours. But one that came
/// where the task waited while its code was still handling ours is somebody else's.
bool goes_back_to_ours(const TimeLimit& limit, PyObject* error) {
  constexpr int furthest = 100;
  if (!error || !PyExceptionInstance_Check(error)) return false;
  PyObject* each = Py_NewRef(error);
  bool is_ours = false;
  for (int length = 0; each && !is_ours && length < furthest; ++length) {
    PyObject* const arguments = reinterpret_cast<PyBaseExceptionObject*>(each)->args;
    is_ours = arguments && PyTuple_Check(arguments) && PyTuple_GET_SIZE(arguments) > 0 &&
              PyTuple_GET_ITEM(arguments, 0) == limit.message;
    PyObject* earlier = PyException_GetContext(each);
    if (earlier && share_a_frame(each, earlier) && !was_raised_by_code(each)) Py_CLEAR(earlier);
    Py_DECREF(each);
    each = earlier;
  }
  Py_XDECREF(each);
  return is_ours;
}

/// Whether what left the block is our cancellation of the task, and nobody else's.
bool is_our_cancellation(const TimeLimit& limit, PyObject* task, PyObject* error) {
  if (limit.cancelling < 0) return goes_back_to_ours(limit, error);
  // Others may have cancelled the task too, and then that is what has happened to it.
  PyObject* const left = PyObject_CallMethod(task, "uncancel", nullptr);
  const bool is_ours = left && PyLong_AsSsize_t(left) <= limit.cancelling;
  Py_XDECREF(left);
  return is_ours;
}

/// Where the block is in a task of asyncio, has its loop call `cancel_task`. @return false: a
/// Python error is set
bool enter_task(TimeLimit& limit) {
  PyObject* const loop = running_loop();
  if (!loop) return !PyErr_Occurred();
  PyObject* task = call_imported("asyncio.tasks", "current_task", loop);
  if (task == Py_None) Py_CLEAR(task);
  limit.cancelling = task ? cancelling(task) : -1;
  const double seconds = static_cast<double>(limit.patience) * 1e-9;
  const bool is_set = task && !PyErr_Occurred() && set_timer(limit, loop, seconds);
  Py_DECREF(loop);
  if (is_set) {
    limit.task = task;
    return true;
  }
  Py_XDECREF(task);
  return !PyErr_Occurred();
}

/// The block in a task has been left. @param error  what left it; null: nothing. @return false:
/// that is what our cancellation came to, or a Python error is set
bool leave_task(TimeLimit& limit, PyObject* error) {
  PyObject* const task = limit.task;
  PyObject* const timer = limit.timer;
  limit.task = limit.timer = nullptr;
  if (!task) return true;
  PyObject* const cancelled = PyObject_CallMethod(timer, "cancel", nullptr);
  Py_XDECREF(cancelled);
  Py_DECREF(timer);
  // A signal's handler may have raised there; that the task counts our cancellation no longer is
  // due all the same.
  PyObject *raised, *value, *traceback;
  PyErr_Fetch(&raised, &value, &traceback);
  const bool is_ours = limit.has_cancelled && is_our_cancellation(limit, task, error);
  Py_DECREF(task);
  if (raised) {
    if (PyErr_Occurred()) PyErr_WriteUnraisable(nullptr);
    PyErr_Restore(raised, value, traceback);
  }
  if (PyErr_Occurred()) return false;
  if (!is_ours || !error) return true;
  PyObject* const name = PyUnicode_FromString("asyncio.exceptions");
  PyObject* const module = name ? PyImport_GetModule(name) : nullptr;
  PyObject* const type = module ? PyObject_GetAttrString(module, "CancelledError") : nullptr;
  const int is_cancellation = type ? PyObject_IsInstance(error, type) : -1;
  Py_XDECREF(type);
  Py_XDECREF(module);
  Py_XDECREF(name);
  return is_cancellation == 0;
}

/// What `keep` needs. @return false: a Python error is set
bool make_keepable([[maybe_unused]] TimeLimit& limit) {
#if UNDERTHREAD_HAS_GIL
  return true;
#else
  if (!limit.weak_reference)
    limit.weak_reference = PyWeakref_NewRef(reinterpret_cast<PyObject*>(&limit), nullptr);
  return limit.weak_reference != nullptr;
#endif
}

/// Makes the limit this thread's. @return false: it is in force
bool claim(TimeLimit& limit) {
  const Guard guard;
  if (limit.is_entered) return false;
  limit.is_entered = true;
  limit.ident = get_ident();
  return true;
}

PyObject* enter_block(PyObject* self, PyObject*) {
  Interrupts* const all = interrupts_of(Py_TYPE(self));
  if (!all || !learn(*all)) return nullptr;
  TimeLimit& limit = *object(self);
  if (!claim(limit)) {
    PyErr_Format(PyExc_RuntimeError, "this %R is in force already: make one for each block", self);
    return nullptr;
  }
  limit.expired = limit.was_raised = limit.has_cancelled = false;
  limit.begin = os::now();
  if (limit.patience == lot::never) {
    limit.ident = get_ident();
    limit.holder = 0;
    limit.deadline = lot::never;
    return Py_NewRef(self);
  }
  const bool is_main = runs_handlers_here();
  if (!is_main && !take_class(*all, PyExc_TimeoutError, limit.pending)) {
    limit.is_entered = false;
    return nullptr;
  }
  limit.frame = find_frame(limit.function);
  limit.pending.kind = Kind::limit;
  limit.pending.limit = &limit;
  limit.pending.frame = limit.frame;
  limit.deadline = deadline_after(std::chrono::nanoseconds(limit.patience));
  limit.by_timekeeper = !is_main;
  bool well = make_keepable(limit) && (!limit.frame || enter_task(limit)) && enter(*all, limit);
  if (well && is_main) {
    const bool is_alone = lot::live_count() <= 1;
    if (!is_alone || !set_alarm_by(*all, limit.look_at)) {
      const Guard guard;
      limit.by_timekeeper = true;
    }
  }
  if (well && limit.by_timekeeper && !all->is_ended) well = keep_time(limit.look_at);
  if (well) return Py_NewRef(self);
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  leave(*all, limit);
  if (!leave_task(limit, nullptr)) PyErr_Clear();
  give_back(limit.pending);
  Py_CLEAR(limit.frame);
  Py_CLEAR(limit.function);
  limit.is_entered = false;
  PyErr_Restore(type, error, traceback);
  return nullptr;
}

PyObject* error_of(const TimeLimit& limit, const char* what, std::int64_t took) {
  PyObject* const text = text_of(limit, what, took);
  PyObject* const error =
      text ? PyObject_CallFunctionObjArgs(PyExc_TimeoutError, text, nullptr) : nullptr;
  Py_XDECREF(text);
  return error;
}

/// Sets the error of a block that has been left too late, after `cause`; null: it ended by itself.
void raise_at_end(const TimeLimit& limit, std::int64_t now, PyObject* cause) {
  PyObject* const error = error_of(limit, nullptr, cause ? 0 : now - limit.begin);
  if (!error) return;
  if (cause) PyException_SetCause(error, Py_NewRef(cause));
  PyErr_SetObject(PyExc_TimeoutError, error);
  Py_DECREF(error);
}

int clear(PyObject* self);

PyObject* exit_block(PyObject* self, PyObject* arguments) {
  PyObject *type = nullptr, *error = nullptr, *traceback = nullptr;
  if (!PyArg_UnpackTuple(arguments, "__exit__", 0, 3, &type, &error, &traceback)) return nullptr;
  Interrupts* const all = interrupts_of(Py_TYPE(self));
  if (!all) return nullptr;
  forget_in_child(*all);
  TimeLimit& limit = *object(self);
  if (!limit.is_entered) {
    PyErr_Format(PyExc_RuntimeError, "this %R is not in force", self);
    return nullptr;
  }
  // One whose thread has ended is nobody's, and may be left by whoever has its generator now.
  const bool is_nobodys = limit.ident == 0;
  if (!is_nobodys && !is_here(limit)) {
    // A generator that is suspended in the block may be closed wherever it is collected.
    if (type == PyExc_GeneratorExit) {
      abandon(*all, limit);
      limit.is_entered = false;
      limit.ident = 0;
      clear(self);
      Py_RETURN_NONE;
    }
    PyErr_Format(PyExc_RuntimeError, "this %R is in force in another thread", self);
    return nullptr;
  }
  if (error == Py_None) error = nullptr;
  const std::int64_t now = os::now();
  const bool is_limited = limit.deadline != lot::never;
  leave(*all, limit);
  // The interpreter takes a thread state that the timekeeper has there for that of a thread, once
  // the code that it runs has ended.
  if (all->interpreter != PyInterpreterState_Main()) await_timekeeper(*all);
  limit.is_entered = false;
  limit.ident = 0;
  limit.expired = is_limited && (limit.expired || now >= limit.deadline);
  give_back(limit.pending);
  limit.pending.frame = nullptr;
  Py_CLEAR(limit.frame);
  Py_CLEAR(limit.function);
  if (is_limited && runs_handlers_here()) move_alarm(*all, limit.look_at);
  if (!leave_task(limit, error)) {
    if (!PyErr_Occurred()) raise_at_end(limit, now, error);
    return nullptr;
  }
  const bool is_late = limit.expired && !error && !limit.was_raised && !is_nobodys;
  if (!settle_interpreter(*all)) return nullptr;
  if (is_late && !is_held(*all)) {
    raise_at_end(limit, now, nullptr);
    return nullptr;
  }
  Py_RETURN_NONE;
}

/// Nanoseconds of what `time_limit` was given. @return false: a Python error is set
bool read_seconds(PyObject* seconds, std::int64_t& patience) {
  patience = lot::never;
  if (seconds == Py_None) return true;
  const char* const allowed =
      "time_limit() takes a number of seconds from 0 to 9223372036, or None for no limit; not %R";
  if (!PyFloat_Check(seconds) && !PyIndex_Check(seconds)) {
    PyErr_Format(PyExc_TypeError, allowed, seconds);
    return false;
  }
  const double number = PyFloat_AsDouble(seconds);
  const bool is_too_large = number == -1 && PyErr_ExceptionMatches(PyExc_OverflowError);
  if (PyErr_Occurred() && !is_too_large) return false;
  PyErr_Clear();
  if (is_too_large || number > longest) {
    PyErr_Format(std::isinf(number) ? PyExc_ValueError : PyExc_OverflowError, allowed, seconds);
    return false;
  }
  if (!(number >= 0)) {
    PyErr_Format(PyExc_ValueError, allowed, seconds);
    return false;
  }
  return seconds_to_nanoseconds(seconds, patience);
}

PyObject* make(PyTypeObject* type, PyObject* arguments, PyObject* names) {
  static const char* const keywords[] = {"seconds", nullptr};
  PyObject* seconds = nullptr;
  std::int64_t patience = 0;
  if (!PyArg_ParseTupleAndKeywords(arguments, names, "O:time_limit", const_cast<char**>(keywords),
                                   &seconds) ||
      !read_seconds(seconds, patience))
    return nullptr;
  PyObject* const shown = PyObject_Str(seconds);
  PyObject* const self = shown ? type->tp_alloc(type, 0) : nullptr;
  if (!self) {
    Py_XDECREF(shown);
    return nullptr;
  }
  object(self)->seconds = Py_NewRef(seconds);
  object(self)->shown = shown;
  object(self)->patience = patience;
  return self;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  const TimeLimit& limit = *object(self);
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(limit.seconds);
  Py_VISIT(limit.frame);
  Py_VISIT(limit.function);
  Py_VISIT(limit.task);
  Py_VISIT(limit.timer);
  Py_VISIT(limit.message);
  return 0;
}

int clear(PyObject* self) {
  TimeLimit& limit = *object(self);
  // Never left: its generator has gone, or its thread has ended in it.
  if (Interrupts* const all = interrupts_of(Py_TYPE(self)))
    abandon(*all, limit);
  else
    PyErr_Clear();
  // Its alarm goes with it.
  if (limit.is_entered && main_interrupts() && runs_handlers_here()) set_alarm(*main_interrupts());
  give_back(limit.pending);
  limit.pending.frame = nullptr;
  Py_CLEAR(limit.frame);
  Py_CLEAR(limit.function);
  Py_CLEAR(limit.task);
  Py_CLEAR(limit.timer);
  Py_CLEAR(limit.message);
  return 0;
}

void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
#if !UNDERTHREAD_HAS_GIL
  PyObject_ClearWeakRefs(self);
#endif
  clear(self);
#if !UNDERTHREAD_HAS_GIL
  // Only now does nobody find the limit, and look at it.
  Py_CLEAR(object(self)->weak_reference);
#endif
  Py_XDECREF(object(self)->seconds);
  Py_XDECREF(object(self)->shown);
  type->tp_free(self);
  Py_DECREF(type);
}

PyObject* repr(PyObject* self) {
  return PyUnicode_FromFormat("time_limit(%R)", object(self)->seconds);
}

PyObject* get_expired(PyObject* self, void*) {
  const TimeLimit& limit = *object(self);
  return PyBool_FromLong(limit.expired || (limit.is_entered && limit.deadline != lot::never &&
                                           os::now() >= limit.deadline));
}

PyMethodDef methods[] = {
    {"__enter__", enter_block, METH_NOARGS, nullptr},
    {"__exit__", exit_block, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyGetSetDef attributes[] = {
    {"expired", get_expired, nullptr,
     "Whether the time of the block that was entered last was up, by the clock, when it was left, "
     "or\n"
     "is up by now.",
     nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr},
};

const char documentation[] =
    "time_limit(seconds)\n--\n\n"
    "A block that takes no longer, to be used by `with`; None: as long as it likes.\n\n"
    "When the time is up a TimeoutError is raised in the block, where interrupt() would raise it. "
    "A\n"
    "block in which none could be raised in time raises it at its end, unless another exception "
    "leaves\n"
    "it or interrupts are held off there. Never is one raised after the block, nor while it is\n"
    "suspended: a task of asyncio is cancelled, and the end of the block raises the TimeoutError.\n"
    "Blocks may be nested; one object can be used again, but not within its own block.";

}  // namespace

bool keep(TimeLimit& limit) {
#if UNDERTHREAD_HAS_GIL
  Py_INCREF(reinterpret_cast<PyObject*>(&limit));
  return true;
#else
  PyObject* kept = nullptr;
  return PyWeakref_GetRef(limit.weak_reference, &kept) == 1;
#endif
}

PyObject* limit_error(TimeLimit& limit, const char* what) {
  limit.was_raised = true;
  return error_of(limit, what, 0);
}

PyTypeObject* make_time_limit_type(PyObject* module) {
  PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(make)},
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
      {Py_tp_clear, reinterpret_cast<void*>(clear)},
      {Py_tp_repr, reinterpret_cast<void*>(repr)},
      {Py_tp_methods, methods},
      {Py_tp_getset, attributes},
      {Py_tp_doc, const_cast<char*>(documentation)},
      {0, nullptr},
  };
  PyType_Spec spec = {"underthread.time_limit", sizeof(TimeLimit), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
                          limits_are_weakly_referenced,
                      slots};
  return reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, nullptr));
}

}  // namespace underthread::python
