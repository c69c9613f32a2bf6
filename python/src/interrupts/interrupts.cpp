#include "interrupts/interrupts.h"

#include <new>

#include "interrupts/guard.h"
#include "interrupts/hold_interrupts.h"
#include "interrupts/limit.h"
#include "interrupts/main_thread.h"
#include "interrupts/reserved_signal.h"
#include "interrupts/signal_fronts.h"
#include "interrupts/time_limit.h"
#include "interrupts/timekeeper.h"
#include "lot/fork.h"

namespace underthread::python {
namespace {

std::uint32_t this_process() {
  return lot::fork_count.load(std::memory_order_relaxed);
}

/// In the child of a fork by multiprocessing, which runs what it is to do on top of the stack that
/// it was forked on and ends there: the blocks on that are never left, and are the parent's.
PyObject* leave_blocks(PyObject* module, PyObject*) {
  Interrupts* const all = state_of(module).interrupts;
  if (!all) Py_RETURN_NONE;
  forget_in_child(*all);
  const bool was_held = leave_all_blocks(*all);
  if (!runs_handlers_here()) Py_RETURN_NONE;
  if (was_held && !release_python_signals()) return nullptr;
  set_alarm(*all);
  Py_RETURN_NONE;
}

PyMethodDef leave_blocks_method = {"_underthread_leave_blocks", leave_blocks, METH_O, nullptr};

/// Has multiprocessing call that, if it is there. What goes wrong is no reason not to fork.
void hear_of_multiprocessing(Interrupts& all) {
  PyObject* const name = PyUnicode_FromString("multiprocessing.util");
  PyObject* const util = name ? PyImport_GetModule(name) : nullptr;
  PyObject* const function = util ? PyCFunction_New(&leave_blocks_method, all.module) : nullptr;
  PyObject* const done =
      function ? PyObject_CallMethod(util, "register_after_fork", "OO", all.module, function)
               : nullptr;
  all.hears_of_multiprocessing = done != nullptr;
  Py_XDECREF(done);
  Py_XDECREF(function);
  Py_XDECREF(util);
  Py_XDECREF(name);
  PyErr_Clear();
}

/// Around `os.fork`, in the thread that forks, with the GIL.
PyObject* before_fork(PyObject* module, PyObject*) {
  Interrupts* const all = state_of(module).interrupts;
  if (all && !all->hears_of_multiprocessing) hear_of_multiprocessing(*all);
  stop_timekeeper_for_fork();
  Py_RETURN_NONE;
}

PyObject* after_fork_in_parent(PyObject*, PyObject*) {
  restart_timekeeper();
  Py_RETURN_NONE;
}

PyObject* after_fork_in_child(PyObject* module, PyObject*) {
  if (Interrupts* const all = state_of(module).interrupts) forget_in_child(*all);
  Py_RETURN_NONE;
}

PyObject* at_end(PyObject* module, PyObject*) {
  if (Interrupts* const all = state_of(module).interrupts) forget_at_end(*all);
  Py_RETURN_NONE;
}

PyMethodDef before_fork_method = {"_underthread_before_fork", before_fork, METH_NOARGS, nullptr};
PyMethodDef after_in_parent_method = {"_underthread_after_fork_in_parent", after_fork_in_parent,
                                      METH_NOARGS, nullptr};
PyMethodDef after_in_child_method = {"_underthread_after_fork_in_child", after_fork_in_child,
                                     METH_NOARGS, nullptr};
PyMethodDef at_end_method = {"_underthread_at_end", at_end, METH_NOARGS, nullptr};

/// `module.function(**names)`, or with one argument where `names` is none. @return false: a Python
/// error is set
bool call(const char* module, const char* function, PyObject* arguments, PyObject* names) {
  PyObject* const imported = arguments && names ? PyImport_ImportModule(module) : nullptr;
  PyObject* const callable = imported ? PyObject_GetAttrString(imported, function) : nullptr;
  PyObject* const done = callable ? PyObject_Call(callable, arguments, names) : nullptr;
  Py_XDECREF(done);
  Py_XDECREF(callable);
  Py_XDECREF(imported);
  Py_XDECREF(names);
  Py_XDECREF(arguments);
  return done != nullptr;
}

bool hear_of_forks(Interrupts& all) {
  PyObject* const before = PyCFunction_New(&before_fork_method, all.module);
  PyObject* const in_parent = PyCFunction_New(&after_in_parent_method, all.module);
  PyObject* const in_child = PyCFunction_New(&after_in_child_method, all.module);
  PyObject* const names = before && in_parent && in_child
                              ? Py_BuildValue("{sOsOsO}", "before", before, "after_in_parent",
                                              in_parent, "after_in_child", in_child)
                              : nullptr;
  Py_XDECREF(before);
  Py_XDECREF(in_parent);
  Py_XDECREF(in_child);
  return call("posix", "register_at_fork", PyTuple_New(0), names);
}

bool hear_of_end(Interrupts& all) {
  PyObject* const function = PyCFunction_New(&at_end_method, all.module);
  PyObject* const arguments = function ? PyTuple_Pack(1, function) : nullptr;
  Py_XDECREF(function);
  return call("atexit", "register", arguments, PyDict_New());
}

/// Says who looks after this thread's limits, the only one's that are in force.
void look_after_limits(Interrupts& all, bool by_timekeeper) {
  const Guard guard;
  if (!all.mailboxes) return;
  for (TimeLimit* each = all.mailboxes->limits; each; each = each->next)
    each->by_timekeeper = by_timekeeper;
}

// In the child of a fork, whoever forked, before anything else. Async-signal-safe; the rest is put
// right by `forget_in_child`, with the GIL.
void forget_parents() {
  forget_guard();
  forget_told();
  forget_timekeeper();
}

}  // namespace

bool make_interrupts(PyObject* module) {
  ModuleState& state = state_of(module);
  auto* const all = new (std::nothrow) Interrupts{};
  if (!all) {
    PyErr_NoMemory();
    return false;
  }
  state.interrupts = all;
  all->module = module;
  all->interpreter = PyInterpreterState_Get();
  all->forks = this_process();
  all->hold_type = make_hold_interrupts_type(module);
  all->limit_type = make_time_limit_type(module);
  all->classes.type = make_async_class_type(module);
  if (!all->hold_type || !all->limit_type || !all->classes.type) return false;
  lot::call_in_fork_child(forget_parents);
  // Here and not when it is first needed, so that what the program registers runs before it, with
  // interrupts and time limits. Where `_thread` is built in, nothing can be imported yet.
  if (Py_IsInitialized() && !(all->hears_of_end = hear_of_end(*all))) return false;
  if (all->interpreter == PyInterpreterState_Main()) set_main_interrupts(all);
  add_to_timekeeper(*all);
  return prepare_prompt_interrupts();
}

int visit_interrupts(const ModuleState& state, visitproc visit, void* arg) {
  const Interrupts* const all = state.interrupts;
  if (!all) return 0;
  Py_VISIT(all->hold_type);
  Py_VISIT(all->limit_type);
  Py_VISIT(all->getsignal);
  Py_VISIT(all->nothing);
  if (const int stop = visit_code_places(all->places, visit, arg)) return stop;
  return visit_async_classes(all->classes, visit, arg);
}

void delete_interrupts(ModuleState& state) {
  Interrupts* const all = state.interrupts;
  if (!all) return;
  forget_at_end(*all);
  state.interrupts = nullptr;
  forget_async_classes(all->classes);
  Py_CLEAR(all->hold_type);
  Py_CLEAR(all->limit_type);
  delete all;
}

Interrupts* interrupts_of(PyTypeObject* type) {
  const ModuleState* const state = state_of(type);
  if (state && !state->interrupts)
    PyErr_SetString(PyExc_RuntimeError, "underthread is gone: its interpreter has ended");
  return state ? state->interrupts : nullptr;
}

bool learn(Interrupts& all) {
  forget_in_child(all);
  if (!all.is_ended && !is_finalizing()) {
    if (!all.hears_of_forks) {
      prepare_to_settle(all);
      if (!(all.hears_of_forks = hear_of_forks(all))) return false;
    }
    if (!all.hears_of_end && !(all.hears_of_end = hear_of_end(all))) return false;
  }
  if (!runs_handlers_here()) return true;
  learn_main_thread();
  return reserve_signal();
}

void forget_in_child(Interrupts& all) {
  const std::uint32_t forks = this_process();
  if (all.forks == forks) return;
  all.forks = forks;
  all.visitors = 0;
  keep_own_mailbox(all);
  if (!settle_interpreter(all, true)) PyErr_WriteUnraisable(nullptr);
  if (all.interpreter != PyInterpreterState_Main()) return;
  const bool holds = is_held(all);
  forget_held_signals(holds);
  hold_alarm(holds);
  if (holds) put_fronts();
  // This thread is the main one now, and alone.
  learn_main_thread();
  look_after_limits(all, false);
  if (set_alarm(all)) return;
  look_after_limits(all, true);
  restart_timekeeper();
}

void forget_at_end(Interrupts& all) {
  {
    const Guard guard;
    if (all.is_ended) return;
    all.is_ended = true;
  }
  await_timekeeper(all);
  remove_from_timekeeper(all);
  const bool is_main = all.interpreter == PyInterpreterState_Main();
  if (is_main || timekeeper_is_idle()) stop_timekeeper();
  if (is_main) {
    end_hold_of_python_signals();
    give_back_reserved_signal();
    forget_main_thread();
    Py_CLEAR(all.getsignal);
    set_main_interrupts(nullptr);
  }
  forget_mailboxes(all);
  forget_code_places(all.places);
  Py_CLEAR(all.nothing);
}

PyObject* account(PyObject* module, PyObject*) {
  Account counts = {};
  Py_ssize_t pending = 0;
  if (const Interrupts* const all = state_of(module).interrupts) {
    const Guard guard;
    counts = all->account;
    for (const Mailbox* box = all->mailboxes; box; box = box->next)
      for (const Pending* each = box->first; each; each = each->next)
        pending += each->kind == Kind::sent;
  }
  return Py_BuildValue("{sKsKsKsKsn}", "accepted", counts.accepted, "raised", counts.raised,
                       "overwritten", counts.overwritten, "dropped", counts.dropped, "pending",
                       pending);
}

}  // namespace underthread::python
