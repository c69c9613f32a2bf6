// What the types of Lock and RLock have in common: an object with a lock of the library and weak
// references, and methods by CPython's calling conventions.
#pragma once

#include <cstddef>
#include <memory>

#include "cpython/cpython.h"
#include "inspect/seen_objects.h"
#include "seen.h"

namespace underthread::python {

/// How `__enter__` is called, and whether `__exit__` may be called so; false: a Python error is
/// set.
constexpr int enter_convention =
    UNDERTHREAD_WITH_IS_STRICT ? METH_NOARGS : METH_FASTCALL | METH_KEYWORDS;
inline bool accepts_exit(Py_ssize_t positional) {
  if (!UNDERTHREAD_WITH_IS_STRICT || positional == 3) return true;
  PyErr_Format(PyExc_TypeError, "__exit__ expected 3 arguments, got %zd", positional);
  return false;
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
  static_assert(offsetof(Object, lock) == lock_offset);
  unname_lock(&object->lock);
  std::destroy_at(&object->lock);
  type->tp_free(self);
  Py_DECREF(type);
}

}  // namespace underthread::python
