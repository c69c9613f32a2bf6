#include "local_object.h"

#include <structmember.h>

#include <cstddef>
#include <cstdint>

#include "module.h"

namespace underthread::python {
namespace {

struct PartObject;

struct LocalObject {
  PyObject_HEAD PyObject* weakrefs;
  PyObject* arguments;  ///< for `__init__`, which runs once in every thread; null: none
  PyObject* keywords;
  PyObject* key;       ///< names this local in the threads' dicts; null: this was cleared
  PartObject* parts;   ///< one per thread that uses this; a list through `next` and `prev`
  PartObject* recent;  ///< the part used last, or null
};

struct PartObject {
  PyObject_HEAD LocalObject* local;  ///< borrowed; null: the local is gone, or was cleared
  std::uint64_t thread;              ///< PyThreadState::id, which the interpreter never uses again
  PyObject* attributes;
  PartObject* next;
  PartObject* prev;
};

/// "__dict__", interned: set with the type, and never freed, as no interned name of a module is.
constinit PyObject* dict_name = nullptr;

LocalObject* object(PyObject* self) {
  return reinterpret_cast<LocalObject*>(self);
}

/// Takes the part off its local's list and returns its attributes, now the caller's.
PyObject* detach(PartObject* part) {
  LocalObject* const local = part->local;
  if (!local) return nullptr;
  if (local->recent == part) local->recent = nullptr;
  if (part->next) part->next->prev = part->prev;
  (part->prev ? part->prev->next : local->parts) = part->next;
  part->local = nullptr;
  PyObject* const attributes = part->attributes;
  part->attributes = nullptr;
  return attributes;
}

void part_dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  // May run any code, so it comes last for the part and finds no trace of it.
  PyObject* const attributes = detach(reinterpret_cast<PartObject*>(self));
  type->tp_free(self);
  Py_DECREF(type);
  Py_XDECREF(attributes);
}

/// Adds a part for the calling thread, whose dict is given; null: a Python error is set.
PartObject* add_part(LocalObject* self, PyObject* thread_dict) {
  PyTypeObject* const part_type = local_part_type(Py_TYPE(self));
  if (!part_type) return nullptr;
  PyObject* const attributes = PyDict_New();
  if (!attributes) return nullptr;
  PyObject* const made = part_type->tp_alloc(part_type, 0);
  if (!made) {
    Py_DECREF(attributes);
    return nullptr;
  }
  PartObject* const part = reinterpret_cast<PartObject*>(made);
  part->local = self;
  part->thread = PyThreadState_Get()->id;
  part->attributes = attributes;
  part->next = self->parts;
  if (part->next) part->next->prev = part;
  self->parts = part;

  const bool kept = PyDict_SetItem(thread_dict, self->key, made) == 0;
  Py_DECREF(made);
  return kept ? part : nullptr;
}

/// The calling thread's attributes of a local, borrowed; null: a Python error is set.
PyObject* attributes_here(LocalObject* self) {
  if (self->recent && self->recent->thread == PyThreadState_Get()->id)
    return self->recent->attributes;

  PyObject* const thread_dict = PyThreadState_GetDict();
  if (!thread_dict || !self->key) {
    PyErr_SetString(PyExc_SystemError, "Couldn't get thread-state dictionary");
    return nullptr;
  }
  auto* part = reinterpret_cast<PartObject*>(PyDict_GetItemWithError(thread_dict, self->key));
  if (!part) {
    if (PyErr_Occurred()) return nullptr;
    part = add_part(self, thread_dict);
    if (!part) return nullptr;
    PyTypeObject* const type = Py_TYPE(self);
    if (type->tp_init != PyBaseObject_Type.tp_init) {
      // `__init__` may use this local: it finds the part that was just added.
      if (type->tp_init(reinterpret_cast<PyObject*>(self), self->arguments, self->keywords) < 0) {
        // Without the part, the next use in this thread runs `__init__` again.
        PyObject *kind, *value, *traceback;
        PyErr_Fetch(&kind, &value, &traceback);
        if (PyDict_DelItem(thread_dict, self->key) < 0) PyErr_Clear();
        PyErr_Restore(kind, value, traceback);
        return nullptr;
      }
      part = reinterpret_cast<PartObject*>(PyDict_GetItemWithError(thread_dict, self->key));
      if (!part) {
        if (!PyErr_Occurred())
          PyErr_SetString(PyExc_SystemError, "Couldn't get thread-state dictionary");
        return nullptr;
      }
    }
  }
  self->recent = part;
  return part->attributes;
}

/// 1: the name is `__dict__`; 0: it is not; -1: a Python error is set.
int names_dict(PyObject* name) {
  if (name == dict_name) return 1;
  if (PyUnicode_CheckExact(name) && PyUnicode_CHECK_INTERNED(name)) return 0;
  return PyObject_RichCompareBool(name, dict_name, Py_EQ);
}

PyObject* get_attribute(PyObject* self, PyObject* name) {
  PyObject* const attributes = attributes_here(object(self));
  if (!attributes) return nullptr;
  const int wants_dict = names_dict(name);
  if (wants_dict < 0) return nullptr;
  if (wants_dict) return Py_NewRef(attributes);
  return _PyObject_GenericGetAttrWithDict(self, name, attributes, 0);
}

int set_attribute(PyObject* self, PyObject* name, PyObject* value) {
  PyObject* const attributes = attributes_here(object(self));
  if (!attributes) return -1;
  const int wants_dict = names_dict(name);
  if (wants_dict < 0) return -1;
  if (wants_dict) {
    PyErr_Format(PyExc_AttributeError, "'%.100s' object attribute '%U' is read-only",
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
  object(self)->key = PyUnicode_FromFormat("underthread.local.%p", self);
  PyObject* const thread_dict = PyThreadState_GetDict();
  if (!thread_dict && !PyErr_Occurred())
    PyErr_SetString(PyExc_SystemError, "Couldn't get thread-state dictionary");
  // In the thread that makes it, the caller runs `__init__`: the part must be there by then.
  if (!object(self)->key || !thread_dict || !add_part(object(self), thread_dict)) {
    Py_DECREF(self);
    return nullptr;
  }
  return self;
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  Py_VISIT(object(self)->arguments);
  Py_VISIT(object(self)->keywords);
  for (PartObject* part = object(self)->parts; part; part = part->next) Py_VISIT(part->attributes);
  return 0;
}

/// Drops what every thread has in this local.
void drop_parts(LocalObject* self) {
  // First without running any code: the parts leave the local, then the threads' dicts. The list of
  // threads changes only with the GIL held, or at its head.
  PartObject* dropped = self->parts;
  self->parts = nullptr;
  self->recent = nullptr;
  if (!dropped) return;
  for (PartObject* part = dropped; part; part = part->next) {
    Py_INCREF(part);
    part->local = nullptr;
  }
  PyThreadState* state = PyInterpreterState_ThreadHead(PyThreadState_Get()->interp);
  for (; state; state = PyThreadState_Next(state))
    if (state->dict && PyDict_Contains(state->dict, self->key) == 1)
      PyDict_DelItem(state->dict, self->key);

  // Now what the attributes' own ends run may use any local, this one too.
  while (dropped) {
    PartObject* const part = dropped;
    dropped = part->next;
    PyObject* const attributes = part->attributes;
    part->attributes = nullptr;
    Py_DECREF(part);
    Py_XDECREF(attributes);
  }
}

int clear(PyObject* self) {
  Py_CLEAR(object(self)->arguments);
  Py_CLEAR(object(self)->keywords);
  drop_parts(object(self));
  return 0;
}

void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (object(self)->weakrefs) PyObject_ClearWeakRefs(self);
  clear(self);
  Py_CLEAR(object(self)->key);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(LocalObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

}  // namespace

PyTypeObject* make_local_type(PyObject* module) {
  dict_name = PyUnicode_InternFromString("__dict__");
  if (!dict_name) return nullptr;
  PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(make)},
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_traverse, reinterpret_cast<void*>(traverse)},
      {Py_tp_clear, reinterpret_cast<void*>(clear)},
      {Py_tp_getattro, reinterpret_cast<void*>(get_attribute)},
      {Py_tp_setattro, reinterpret_cast<void*>(set_attribute)},
      {Py_tp_members, members},
      {Py_tp_doc, const_cast<char*>("Thread-local data")},
      {0, nullptr},
  };
  PyType_Spec spec = {
      "_thread._local", sizeof(LocalObject), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
      slots};
  return reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, nullptr));
}

PyTypeObject* make_local_part_type(PyObject* module) {
  PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(part_dealloc)},
      {0, nullptr},
  };
  PyType_Spec spec = {
      "_thread._localpart", sizeof(PartObject), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  return reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, nullptr));
}

}  // namespace underthread::python
