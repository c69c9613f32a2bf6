#include "interrupts/async_exception.h"

#include <utility>

#include "interrupts/guard.h"
#include "interrupts/interrupts.h"
#include "interrupts/limit.h"
#include "interrupts/main_thread.h"
#include "interrupts/start_failure.h"

namespace underthread::python {
namespace {

AsyncClass* object(PyObject* self) {
  return reinterpret_cast<AsyncClass*>(self);
}

/// The class has it as its module, which a class may keep and nobody sees: so it is found without
/// memory.
AsyncClass* in_class(PyTypeObject* type) {
  return object(PyType_GetModule(type));
}

/// What has been told, made: a reference; null: a Python error is set.
PyObject* instance_of(PyObject* exception, TimeLimit* limit, PyObject* base) {
  if (limit) return limit_error(*limit, nullptr);
  // A class, where somebody else's was adopted, or nothing: the class was called by hand.
  if (!exception || !PyExceptionInstance_Check(exception))
    return PyObject_CallNoArgs(exception ? exception : base);
  return Py_NewRef(exception);
}

/// `tp_new` of every such class: what the interpreter calls to make what it has been told of.
PyObject* make(PyTypeObject* type, PyObject*, PyObject*) {
  AsyncClass* const it = in_class(type);
  if (!it) {
    PyErr_SetString(PyExc_TypeError, "this class is underthread's, and not for programs");
    return nullptr;
  }
  PyObject* const self = Py_NewRef(reinterpret_cast<PyObject*>(it));
  PyObject* exception = nullptr;
  TimeLimit* limit = nullptr;
  {
    const Guard guard;
    exception = std::exchange(it->exception, nullptr);
    limit = std::exchange(it->limit, nullptr);
    // The last other reference may go with its Pending.
    Py_XINCREF(reinterpret_cast<PyObject*>(limit));
    if (limit) limit->was_raised = true;
    if (it->user && it->all) it->all->account.raised += it->kind == Kind::sent;
    it->user = nullptr;
  }
  const bool is_foreign = it->kind == Kind::adopted;
  const bool is_taken = it->all && take_made(*it->all, *it, is_foreign);
  PyObject* const made = instance_of(exception, limit, it->base);
  if (is_taken && is_foreign && it->all) end_making(*it->all);
  Py_XDECREF(exception);
  Py_XDECREF(reinterpret_cast<PyObject*>(limit));
  Py_DECREF(self);
  if (!made || !errors_are_made_late || !PyExceptionInstance_Check(made)) return made;
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made)), made);
  Py_DECREF(made);
  return nullptr;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(object(self)->exception);
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(object(self)->exception);
  return 0;
}

void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  clear(self);
  type->tp_free(self);
  Py_DECREF(type);
}

/// A class derived from `base`, which does not get to know. Null: a Python error is set.
PyObject* derive(PyObject* base, PyObject* self) {
  // Not by calling `type`, which would run the program's `__init_subclass__` and metaclasses.
  PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(make)}, {0, nullptr}};
  PyType_Spec spec = {"underthread.async_exception", 0, 0, Py_TPFLAGS_DEFAULT, slots};
  PyObject* const bases = PyTuple_Pack(1, base);
  PyObject* const type = bases ? PyType_FromModuleAndSpec(self, &spec, bases) : nullptr;
  Py_XDECREF(bases);
  if (type) hide_from_subclasses(base, type);
  // It may have found no memory without saying so.
  if (!type && !PyErr_Occurred()) PyErr_NoMemory();
  return type;
}

/// What a class of ours is derived from, for an exception of that type.
PyObject* base_for(PyObject* exception) {
  if (!errors_are_made_late) return PyExc_BaseException;
  PyObject* const type = PyExceptionClass_Check(exception)
                             ? exception
                             : reinterpret_cast<PyObject*>(Py_TYPE(exception));
  return PyType_HasFeature(reinterpret_cast<PyTypeObject*>(type), Py_TPFLAGS_BASETYPE)
             ? type
             : PyExc_BaseException;
}

/// A new one with its class, whose reference is the caller's. Null: a Python error is set.
PyObject* make_class(Interrupts& all, PyObject* base) {
  PyTypeObject* const type = all.classes.type;
  PyObject* const self = type->tp_alloc(type, 0);
  PyObject* const made = self ? derive(base, self) : nullptr;
  if (made) {
    AsyncClass& it = *object(self);
    it.all = &all;
    it.told = made;
    it.base = base;
    it.references = Py_REFCNT(made) - 1;
  }
  Py_XDECREF(self);
  return made;
}

#if UNDERTHREAD_HAS_GIL
/// The state, in this interpreter, of the thread of that ident; null: it has none.
PyThreadState* state_of_thread(const Interrupts& all, Ident ident) {
  PyThreadState* const here = PyThreadState_Get();
  if (here->thread_id == ident && here->interp == all.interpreter) return here;
  // Whoever is not found is looked for again: the list may have been incomplete.
  constexpr int attempts = 4;
  for (int attempt = 0; attempt < attempts; ++attempt) {
    if (attempt > 0) await_thread_list();
    PyThreadState* state = PyInterpreterState_ThreadHead(all.interpreter);
    while (state && state->thread_id != ident) state = PyThreadState_Next(state);
    if (state) return state;
  }
  return nullptr;
}
#else
/// The same where only one's own can be looked at.
PyThreadState* state_of_thread(const Interrupts&, Ident ident) {
  PyThreadState* const state = PyThreadState_Get();
  return state->thread_id == ident ? state : nullptr;
}
#endif

}  // namespace

PyTypeObject* make_async_class_type(PyObject* module) {
  PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
      {Py_tp_clear, reinterpret_cast<void*>(clear)},
      {0, nullptr},
  };
  PyType_Spec spec = {"_thread._AsyncClass", sizeof(AsyncClass), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
                          Py_TPFLAGS_DISALLOW_INSTANTIATION,
                      slots};
  return seal(PyType_FromModuleAndSpec(module, &spec, nullptr), false);
}

bool take_class(Interrupts& all, PyObject* exception, Pending& user) {
  PyObject* const base = base_for(exception);
  AsyncClass* free = nullptr;
  PyObject* dropped = nullptr;
  {
    const Guard guard;
    for (PyObject* const kept : all.classes.kept) {
      AsyncClass* const it = kept ? in_class(reinterpret_cast<PyTypeObject*>(kept)) : nullptr;
      if (!it || it->base != base || is_on_its_way(*it)) continue;
      // One that was on its way and has been dropped by whoever had it is in use for nobody.
      const bool is_dropped = errors_are_made_late && it->user && it->ours == 1;
      if (it->user && !is_dropped) continue;
      dropped = std::exchange(it->exception, nullptr);
      it->user = &user;
      ++it->ours;
      Py_INCREF(kept);
      free = it;
      break;
    }
  }
  Py_XDECREF(dropped);
  user.async_class = free;
  if (free) return true;
  PyObject* const made = make_class(all, base);
  if (!made) return false;
  AsyncClass* const it = in_class(reinterpret_cast<PyTypeObject*>(made));
  PyObject* replaced = nullptr;
  {
    const Guard guard;
    it->user = &user;
    it->ours = 1;
    PyObject*& place = all.classes.kept[all.classes.next++ % all.classes.kept.size()];
    AsyncClass* const old = place ? in_class(reinterpret_cast<PyTypeObject*>(place)) : nullptr;
    // One that is in use is kept, so that it serves again.
    if (!old || !old->user) {
      replaced = std::exchange(place, Py_NewRef(made));
      ++it->ours;
      if (old) --old->ours;
    }
  }
  Py_XDECREF(replaced);
  user.async_class = it;
  return true;
}

void give_back(Pending& user) {
  AsyncClass* const it = std::exchange(user.async_class, nullptr);
  if (!it) return;
  PyObject* exception = nullptr;
  PyObject* const type = it->told;
  {
    const Guard guard;
    // Once made, it may be somebody else's by now. On its way, it keeps what it is to give, until
    // it has been made or nobody has it any more; but for a limit, which goes.
    if (it->user == &user) {
      it->limit = nullptr;
      if (!is_on_its_way(*it)) {
        exception = std::exchange(it->exception, nullptr);
        it->user = nullptr;
      }
    }
    --it->ours;
  }
  Py_XDECREF(exception);
  Py_DECREF(type);
}

bool is_on_its_way(const AsyncClass& it) {
  return errors_are_made_late && Py_REFCNT(it.told) > it.references + it.ours;
}

std::uint64_t state_number(const Interrupts& all, Ident ident) {
  PyThreadState* const state = state_of_thread(all, ident);
  // They are counted from 0 on some versions.
  return state ? PyThreadState_GetID(state) + 1 : 0;
}

const PyObject* async_exception_of(const Interrupts& all, Ident ident) {
  PyThreadState* const state = state_of_thread(all, ident);
  return state ? async_exception_of(state) : nullptr;
}

bool has_frame(const Interrupts& all, Ident ident, PyObject* frame) {
  PyThreadState* const state = state_of_thread(all, ident);
  return state && has_frame(state, frame);
}

PyObject* code_of(const Interrupts& all, Ident ident, int& instruction) {
  PyThreadState* const state = state_of_thread(all, ident);
  return state ? code_of(state, instruction) : nullptr;
}

#if UNDERTHREAD_ASYNC_FLAG_STAYS

void prepare_to_settle(Interrupts& all) {
  if (all.nothing) return;
  all.nothing = Py_CompileString("None", "<underthread>", Py_eval_input);
  // A hook of the program's forbids it: then nothing is settled, and all else works.
  if (!all.nothing) PyErr_Clear();
}

bool settle_interpreter(Interrupts& all, bool in_main) {
  if (!all.has_withdrawn || !all.nothing || (!in_main && runs_handlers_here())) return true;
  PyThreadState* const state = PyThreadState_Get();
  // Another is on its way, and ends it.
  if (async_exception_of(state) || state->interp != all.interpreter || is_finalizing()) return true;
  all.has_withdrawn = false;
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  PyObject* const names = PyDict_New();
  PyObject* const marker = PyExc_GeneratorExit;
  if (names && PyDict_SetItemString(names, "__builtins__", PyEval_GetBuiltins()) == 0) {
    state->async_exc = Py_NewRef(marker);
    PyObject* result = nullptr;
    {
      const NoTracing hidden(state);
      result = PyEval_EvalCode(all.nothing, names, names);
    }
    Py_XDECREF(result);
    // A signal's handler has raised before that, and the next time is for it.
    if (state->async_exc == marker) {
      Py_CLEAR(state->async_exc);
      all.has_withdrawn = true;
    }
    if (!result && PyErr_ExceptionMatches(marker)) PyErr_Clear();
  }
  Py_XDECREF(names);
  const bool is_raised = PyErr_Occurred() != nullptr;
  // It came while the other was under way.
  if (type && is_raised) PyErr_WriteUnraisable(nullptr);
  if (type) PyErr_Restore(type, error, traceback);
  return type || !is_raised;
}

#else

void prepare_to_settle(Interrupts&) {}

bool settle_interpreter(Interrupts&, bool) {
  return true;
}

#endif

#if UNDERTHREAD_HAS_GIL

bool is_starting(const Interrupts& all, Ident ident, PyObject* thread) {
  PyThreadState* const state = state_of_thread(all, ident);
  return state && start_of(state, thread) != Start::left;
}

bool has_thread(const Interrupts& all, Ident ident) {
  return state_of_thread(all, ident) != nullptr;
}

#else

bool is_starting(const Interrupts&, Ident, PyObject*) {
  return true;
}

bool has_thread(const Interrupts&, Ident) {
  return true;
}

#endif

int visit_async_classes(const AsyncClasses& classes, visitproc visit, void* arg) {
  Py_VISIT(classes.type);
  for (PyObject* type : classes.kept) Py_VISIT(type);
  return 0;
}

void forget_async_classes(AsyncClasses& classes) {
  for (PyObject*& type : classes.kept) {
    if (AsyncClass* const it = type ? in_class(reinterpret_cast<PyTypeObject*>(type)) : nullptr)
      it->all = nullptr;
    Py_CLEAR(type);
  }
  Py_CLEAR(classes.type);
}

}  // namespace underthread::python
