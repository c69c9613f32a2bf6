#include "types/rlock_object.h"

#include <structmember.h>
#include <underthread/rlock.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <new>

#include "cpython/errors.h"
#include "cpython/timeout.h"
#include "state/module_state.h"
#include "state/stock.h"
#include "types/lock_type.h"
#include "waits/blocking.h"

namespace underthread::python {
namespace {

// What Python may conclude of an RLock it concludes in the thread that holds it, which has the GIL;
// so the library's own count and holder are the truth here, and no flag is needed as in LockObject.
struct RLockObject {
  PyObject_HEAD PyObject* weakrefs;
  RLock lock;
};

RLockObject* object(PyObject* self) {
  return reinterpret_cast<RLockObject*>(self);
}

[[gnu::noinline]] PyObject* acquire_slow(PyObject* self, PyObject* const* arguments,
                                         Py_ssize_t positional, PyObject* names) {
  std::int64_t patience;
  if (!parse_acquire(arguments, positional, names, patience)) return nullptr;

  RLock& lock = object(self)->lock;
  bool acquired = false;
  if (raises([&] { acquired = lock.enter(); })) return nullptr;
  if (!acquired && patience != 0) {
    const ModuleState* const state = state_of(Py_TYPE(self));
    if (!state) return nullptr;
    const Blocked end = block(*state, patience, Handlers::run, {"an RLock", acquire_at_the_end},
                              [&lock](lot::Wait& wait) { return lock.acquire_waiting(wait); });
    if (end == Blocked::raised) return nullptr;
    acquired = end == Blocked::done;
  }
  return PyBool_FromLong(acquired);
}

// As with a Lock: what most calls ask for needs neither the parser nor anything that throws.
PyObject* acquire(PyObject* self, PyObject* const* arguments, Py_ssize_t positional,
                  PyObject* names) {
  if (positional == 0 && !names && object(self)->lock.acquire_fast()) Py_RETURN_TRUE;
  return acquire_slow(self, arguments, positional, names);
}

#if UNDERTHREAD_WITH_IS_STRICT
PyObject* enter(PyObject* self, PyObject*) {
  return acquire(self, nullptr, 0, nullptr);
}
#else
constexpr auto enter = acquire;
#endif

PyObject* release(PyObject* self, PyObject*) {
  RLock& lock = object(self)->lock;
  // Its holder's is never refused.
  if (!lock.is_mine()) {
    raises([&lock] { lock.release(); });
    return nullptr;
  }
  lock.release();
  Py_RETURN_NONE;
}

PyObject* exit(PyObject* self, PyObject* const*, Py_ssize_t positional) {
  return accepts_exit(positional) ? release(self, nullptr) : nullptr;
}

PyObject* locked(PyObject* self, PyObject*) {
  return PyBool_FromLong(object(self)->lock.locked());
}

PyObject* is_owned(PyObject* self, PyObject*) {
  return PyBool_FromLong(object(self)->lock.is_mine());
}

PyObject* recursion_count(PyObject* self, PyObject*) {
  const RLock& lock = object(self)->lock;
  return PyLong_FromUnsignedLong(lock.is_mine() ? lock.count() : 0);
}

PyObject* release_save(PyObject* self, PyObject*) {
  RLock& lock = object(self)->lock;
  unsigned long owner = 0;
  unsigned long count = 0;
  if (raises([&] {
        owner = lock.owner();
        count = lock.release_save();
      }))
    return nullptr;
  return Py_BuildValue("kk", count, owner);
}

// The owner in the state is whoever saved it; it is the caller who gets the lock.
PyObject* acquire_restore(PyObject* self, PyObject* state) {
  SavedCount saved;
  unsigned long owner;
  const auto parse = UNDERTHREAD_RESTORE_TAKES_ONE ? PyArg_Parse : PyArg_ParseTuple;
  if (!parse(state, saved_state, &saved, &owner)) return nullptr;
  if (saved == 0) Py_RETURN_NONE;  // it was not held, and is restored to that
  const auto count = static_cast<unsigned long>(saved);
  if (count > std::numeric_limits<std::uint32_t>::max()) {
    PyErr_SetString(PyExc_OverflowError, "Internal lock count overflowed");
    return nullptr;
  }

  RLock& lock = object(self)->lock;
  bool acquired = false;
  if (count == 1 && raises([&] { acquired = lock.enter(); })) return nullptr;
  if (!acquired) {
    const ModuleState* const module = state_of(Py_TYPE(self));
    if (!module) return nullptr;
    const Blocked end = block(*module, lot::never, Handlers::wait, {"an RLock", nullptr},
                              [&lock, count](lot::Wait&) {
                                lock.acquire_restore(static_cast<std::uint32_t>(count));
                                return lot::WaitEnd::done;
                              });
    if (end == Blocked::raised) return nullptr;
  }
  Py_RETURN_NONE;
}

PyObject* at_fork_reinit(PyObject* self, PyObject*) {
  object(self)->lock.at_fork_reinit();
  Py_RETURN_NONE;
}

PyObject* repr(PyObject* self) {
  const RLock& lock = object(self)->lock;
  const unsigned long count = lock.count();
  return PyUnicode_FromFormat("<%s %s object owner=%ld count=%lu at %p>",
                              count ? "locked" : "unlocked", Py_TYPE(self)->tp_name,
                              static_cast<long>(lock.owner()), count, self);
}

PyObject* make(PyTypeObject* type, PyObject* arguments, PyObject* names) {
  if (!accepts_no_arguments(type, "RLock", arguments, names)) return nullptr;
  PyObject* const self = type->tp_alloc(type, 0);
  if (self) new (&object(self)->lock) RLock();
  return self;
}

PyMethodDef methods[] = {
    {"acquire", method(acquire), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"release", release, METH_NOARGS, nullptr},
    {"_is_owned", is_owned, METH_NOARGS, nullptr},
    {"_acquire_restore", acquire_restore, restore_convention, nullptr},
    {"_release_save", release_save, METH_NOARGS, nullptr},
    {"_recursion_count", recursion_count, METH_NOARGS, nullptr},
    {"locked", locked, METH_NOARGS, nullptr},
    {"__enter__", method(enter), enter_convention, nullptr},
    {"__exit__", method(exit), METH_FASTCALL, nullptr},
    {"_at_fork_reinit", at_fork_reinit, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(RLockObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

}  // namespace

PyTypeObject* make_rlock_type(PyObject* module, PyObject* stock) {
  PyTypeObject* const theirs = stock_type(stock, "RLock");
  if (!theirs) return nullptr;
  PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(make)},
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc_lock<RLockObject>)},
      {Py_tp_traverse, reinterpret_cast<void*>(traverse_type)},
      {Py_tp_repr, reinterpret_cast<void*>(repr)},
      {Py_tp_methods, methods},
      {Py_tp_members, members},
      {Py_tp_alloc, reinterpret_cast<void*>(PyType_GenericAlloc)},
      {0, nullptr},
  };
  PyType_Spec spec = {
      "_thread.RLock", sizeof(RLockObject), 0,
      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE,
      slots};
  PyObject* type = nullptr;
  if (document_methods(methods, theirs)) type = PyType_FromModuleAndSpec(module, &spec, nullptr);
  Py_DECREF(theirs);
  return reinterpret_cast<PyTypeObject*>(type);
}

}  // namespace underthread::python
