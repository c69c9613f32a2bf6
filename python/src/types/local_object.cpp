#include "types/local_object.h"

#include <structmember.h>

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <new>
#include <unordered_map>

#include "lot/mutex.h"
#include "state/module_state.h"
#include "state/stock.h"

namespace underthread::python {
namespace {

struct LocalObject;
struct ThreadLocals;

// Which mutexes there are. With a GIL it guards all that is here, and they are nothing. Without
// one, `lists` guards the locals' lists of parts and goes before a thread's own mutex, which guards
// its table. Neither is held while Python code runs, and who holds one can't be stopped by the
// collector, which therefore walks the lists without.
#if UNDERTHREAD_HAS_GIL
struct Mutex {
  void lock() {}
  void unlock() {}
};
#else
using Mutex = lot::Mutex;
#endif
using Locked = std::scoped_lock<Mutex>;
constinit Mutex lists;

/// What one thread has of one local.
struct Part {
  LocalObject* local;
  ThreadLocals* thread;
  PyObject* attributes;  ///< a dict
  Part *next, *prev;     ///< in the local's list
};

/// All that one thread has of its locals; lives in the interpreter's dict of that thread, and goes
/// when the thread goes.
struct ThreadLocals {
  PyObject_HEAD Mutex mutex;
  /// By local. A local's part leaves before the local does.
  std::unordered_map<LocalObject*, Part*> parts;
  /// The part used last: most threads use one local many times.
  Part* recent;
  PyThreadState* state;
  std::uint64_t state_id;
};

/// The calling thread's, where it has been asked for before in the same thread state.
constinit thread_local ThreadLocals* here = nullptr;

struct LocalObject {
  PyObject_HEAD PyObject* weakrefs;
  PyObject* arguments;  ///< for `__init__`, which runs once in every thread; null: none
  PyObject* keywords;
  Part* parts;  ///< one per thread that uses this
};

LocalObject* object(PyObject* self) {
  return reinterpret_cast<LocalObject*>(self);
}

/// `lists` is held.
void unlink(Part* part) {
  if (part->next) part->next->prev = part->prev;
  (part->prev ? part->prev->next : part->local->parts) = part->next;
}

/// `lists` is held. Takes the part out of its thread's table.
void remove_from_thread(Part* part) {
  const Locked locked(part->thread->mutex);
  if (part->thread->recent == part) part->thread->recent = nullptr;
  part->thread->parts.erase(part->local);
}

/// Frees parts that nobody can find any more, chained by `next`. What their attributes' own ends
/// run may use any local.
void drop_chain(Part* part) {
  while (part) {
    Part* const next = part->next;
    PyObject* const attributes = part->attributes;
    delete part;
    Py_XDECREF(attributes);
    part = next;
  }
}

void locals_dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  auto* const locals = reinterpret_cast<ThreadLocals*>(self);
  if (here == locals) here = nullptr;
  Part* dropped = nullptr;
  {
    const Locked locked(lists);
    for (const auto& [local, part] : locals->parts) {
      unlink(part);
      part->next = dropped;
      dropped = part;
    }
  }
  std::destroy_at(&locals->parts);
  type->tp_free(self);
  Py_DECREF(type);
  drop_chain(dropped);
}

/// The calling thread's, made if need be, borrowed; null: a Python error is set.
ThreadLocals* locals_here(PyTypeObject* local_type) {
  PyThreadState* const state = PyThreadState_Get();
  if (here && here->state == state && here->state_id == state->id) return here;

  ModuleState* const module = state_of(local_type);
  if (!module) return nullptr;
  PyObject* const thread_dict = PyThreadState_GetDict();
  if (!thread_dict || !module->locals_key) {
    PyErr_SetString(PyExc_SystemError, "Couldn't get thread-state dictionary");
    return nullptr;
  }
  PyObject* found = PyDict_GetItemWithError(thread_dict, module->locals_key);
  if (!found) {
    if (PyErr_Occurred()) return nullptr;
    found = module->locals_type->tp_alloc(module->locals_type, 0);
    if (!found) return nullptr;
    auto* const made = reinterpret_cast<ThreadLocals*>(found);
    new (&made->mutex) Mutex();
    new (&made->parts) std::unordered_map<LocalObject*, Part*>();
    made->state = state;
    made->state_id = state->id;
    const bool kept = PyDict_SetItem(thread_dict, module->locals_key, found) == 0;
    Py_DECREF(found);  // the thread's dict has it
    if (!kept) return nullptr;
  }
  here = reinterpret_cast<ThreadLocals*>(found);
  return here;
}

/// The calling thread's part of a local; null: it has none.
Part* find_part(ThreadLocals* locals, LocalObject* local) {
  const Locked locked(locals->mutex);
  if (locals->recent && locals->recent->local == local) return locals->recent;
  const auto found = locals->parts.find(local);
  return found == locals->parts.end() ? nullptr : locals->recent = found->second;
}

/// Adds a part for the calling thread, which has none; null: a Python error is set.
Part* add_part(ThreadLocals* locals, LocalObject* local) {
  PyObject* const attributes = PyDict_New();
  if (!attributes) return nullptr;
  Part* const part = new (std::nothrow) Part{local, locals, attributes, nullptr, nullptr};
  bool added = false;
  if (part) {
    const Locked locked_lists(lists);
    const Locked locked(locals->mutex);
    try {
      locals->parts.emplace(local, part);
      added = true;
    } catch (const std::bad_alloc&) {
    }
    if (added) {
      part->next = local->parts;
      if (part->next) part->next->prev = part;
      local->parts = part;
      locals->recent = part;
    }
  }
  if (added) return part;
  delete part;
  Py_DECREF(attributes);
  PyErr_NoMemory();
  return nullptr;
}

/// Takes the calling thread's part of a local away, so that the next use begins anew.
void remove_part(ThreadLocals* locals, LocalObject* local) {
  Part* part = nullptr;
  {
    const Locked locked(lists);
    const auto found = locals->parts.find(local);
    if (found == locals->parts.end()) return;
    part = found->second;
    remove_from_thread(part);
    unlink(part);
  }
  part->next = nullptr;
  drop_chain(part);
}

/// The calling thread's attributes of a local, borrowed; null: a Python error is set. They stay as
/// long as the caller has the local.
PyObject* attributes_here(LocalObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  ThreadLocals* const locals = locals_here(type);
  if (!locals) return nullptr;
  Part* part = find_part(locals, self);
  if (part) return part->attributes;
  part = add_part(locals, self);
  if (!part || type->tp_init == PyBaseObject_Type.tp_init) return part ? part->attributes : nullptr;

  // `__init__` may use this local: it finds the part that was just added.
  if (type->tp_init(reinterpret_cast<PyObject*>(self), self->arguments, self->keywords) < 0) {
    PyObject *kind, *value, *traceback;
    PyErr_Fetch(&kind, &value, &traceback);
    remove_part(locals, self);
    PyErr_Restore(kind, value, traceback);
    return nullptr;
  }
  return part->attributes;
}

/// 1: the name is `__dict__`; 0: it is not; -1: a Python error is set.
int names_dict(PyObject* name) {
  if (PyUnicode_CheckExact(name))
    return PyUnicode_GET_LENGTH(name) == 8 &&
           PyUnicode_CompareWithASCIIString(name, "__dict__") == 0;
  // As the interpreter's own asks, whose answer may be anybody's.
  PyObject* const dict_name = PyUnicode_InternFromString("__dict__");
  if (!dict_name) return -1;
  const int same = PyObject_RichCompareBool(name, dict_name, Py_EQ);
  Py_DECREF(dict_name);
  return same;
}

/// 1: the dict has it, and `value` is a reference to it; 0: it does not; -1: a Python error is set.
int find_in(PyObject* dict, PyObject* name, PyObject*& value) {
#if PY_VERSION_HEX >= 0x030D0000
  return PyDict_GetItemRef(dict, name, &value);
#else
  value = Py_XNewRef(PyDict_GetItemWithError(dict, name));
  return value ? 1 : PyErr_Occurred() ? -1 : 0;
#endif
}

PyObject* get_attribute(PyObject* self, PyObject* name) {
  PyObject* const attributes = attributes_here(object(self));
  if (!attributes) return nullptr;
  const int wants_dict = names_dict(name);
  if (wants_dict < 0) return nullptr;
  if (wants_dict) return Py_NewRef(attributes);
  // As in stock CPython: in a plain `_local`, which has no attributes of a program's class, the
  // dict goes before the descriptors of the type, `__class__` among them. A subclass has `_local`
  // or a subclass of it as its base.
  if (Py_TYPE(self)->tp_base == &PyBaseObject_Type) {
    PyObject* value = nullptr;
    if (const int found = find_in(attributes, name, value)) return found > 0 ? value : nullptr;
  }
  return _PyObject_GenericGetAttrWithDict(self, name, attributes, 0);
}

int set_attribute(PyObject* self, PyObject* name, PyObject* value) {
  PyObject* const attributes = attributes_here(object(self));
  if (!attributes) return -1;
  const int wants_dict = names_dict(name);
  if (wants_dict < 0) return -1;
  if (wants_dict) {
    PyErr_Format(PyExc_AttributeError, "'%.100s' object attribute %R is read-only",
                 Py_TYPE(self)->tp_name, name);
    return -1;
  }
  return _PyObject_GenericSetAttrWithDict(self, name, value, attributes);
}

PyObject* make(PyTypeObject* type, PyObject* arguments, PyObject* keywords) {
  if (type->tp_init == PyBaseObject_Type.tp_init) {
    const bool given = (arguments && PyTuple_GET_SIZE(arguments) > 0) ||
                       (keywords && PyDict_GET_SIZE(keywords) > 0);
    if (given) {
      PyErr_SetString(PyExc_TypeError, "Initialization arguments are not supported");
      return nullptr;
    }
  }
  PyObject* const self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  object(self)->arguments = Py_XNewRef(arguments);
  object(self)->keywords = Py_XNewRef(keywords);
  // In the thread that makes it, the caller runs `__init__`: the part must be there by then.
  ThreadLocals* const locals = locals_here(type);
  if (!locals || !add_part(locals, object(self))) {
    Py_DECREF(self);
    return nullptr;
  }
  return self;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(object(self)->arguments);
  Py_VISIT(object(self)->keywords);
  for (Part* part = object(self)->parts; part; part = part->next) Py_VISIT(part->attributes);
  return 0;
}

int clear(PyObject* self) {
  Py_CLEAR(object(self)->arguments);
  Py_CLEAR(object(self)->keywords);
  Part* dropped = nullptr;
  {
    const Locked locked(lists);
    dropped = object(self)->parts;
    object(self)->parts = nullptr;
    for (Part* part = dropped; part; part = part->next) remove_from_thread(part);
  }
  drop_chain(dropped);
  return 0;
}

void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (object(self)->weakrefs) PyObject_ClearWeakRefs(self);
  clear(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(LocalObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

}  // namespace

PyTypeObject* make_local_type(PyObject* module, PyObject* stock) {
  PyTypeObject* const theirs = stock_type(stock, "_local");
  if (!theirs) return nullptr;
  PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(make)},
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
      {Py_tp_clear, reinterpret_cast<void*>(clear)},
      {Py_tp_getattro, reinterpret_cast<void*>(get_attribute)},
      {Py_tp_setattro, reinterpret_cast<void*>(set_attribute)},
      {Py_tp_members, members},
      {Py_tp_doc, const_cast<char*>(theirs->tp_doc)},
      {0, nullptr},
  };
  PyType_Spec spec = {
      "_thread._local", sizeof(LocalObject), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
      slots};
  PyObject* const type = PyType_FromModuleAndSpec(module, &spec, nullptr);
  Py_DECREF(theirs);
  return seal(type, true);
}

PyTypeObject* make_locals_type(PyObject* module) {
  PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(locals_dealloc)},
      {0, nullptr},
  };
  PyType_Spec spec = {
      "_thread._locals", sizeof(ThreadLocals), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  return seal(PyType_FromModuleAndSpec(module, &spec, nullptr), false);
}

}  // namespace underthread::python
