// What the types of Lock and RLock have in common: an object with a lock of the library and weak
// references, and methods by CPython's calling conventions.
#pragma once

#include <Python.h>

#include <memory>

namespace underthread::python {

/// A method of any convention, as a PyMethodDef holds it.
template <class Function>
PyCFunction method(Function* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));
}

inline int traverse_type(PyObject* self, visitproc visit, void* arg) {
  Py_VISIT(Py_TYPE(self));
  return 0;
}

/// For an Object with `weakrefs` and `lock`. Legal for a lock that is held: nobody waits for it,
/// since whoever does has a reference.
template <class Object>
void dealloc_lock(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  auto* const object = reinterpret_cast<Object*>(self);
  PyObject_GC_UnTrack(self);
  if (object->weakrefs) PyObject_ClearWeakRefs(self);
  std::destroy_at(&object->lock);
  type->tp_free(self);
  Py_DECREF(type);
}

}  // namespace underthread::python
