#include "types/lock_object.h"

#include <structmember.h>
#include <underthread/lock.h>

#include <cstddef>
#include <cstdint>
#include <new>

#include "cpython/errors.h"
#include "cpython/timeout.h"
#include "state/module_state.h"
#include "state/stock.h"
#include "types/lock_type.h"
#include "wait_kinds.h"
#include "waits/blocking.h"

namespace underthread::python {
namespace {

/// The sentinel that this thread waited for when it was interrupted, until it asks `locked()`.
constinit thread_local const void* interrupted_at = nullptr;

/// Where `locked_is_a_flag`, `flag` is guarded by the GIL and says what Python code may conclude: a
/// thread that was handed the lock is seen to hold it only once it has the GIL back.
/// `threading._stop` releases a lock that another thread waits for and then asserts that it is not
/// locked; the word could not promise that.
///
///   flag = true   the word is held. Only `release` ends that, and it has the GIL throughout.
///   flag = false  the word is free, or held by a thread that does not have the GIL yet (or, in
///                 the child of a fork, never will: as with the interpreter's own lock). It must
///                 not be released: to Python nobody has acquired it.
///
/// Where not, the word is the truth, and `flag` is not used.
///
/// A sentinel is held by its thread as long as that runs, and `threading` acquires it to join. If
/// that is interrupted, `threading` asks `locked()` at once, to learn whether it has acquired it
/// after all, and if so takes the thread for ended: the interpreter's own lock says yes for a
/// thread that still runs (python/cpython#90882). So whoever was interrupted is told, once, whether
/// it holds it itself.
struct LockObject {
  PyObject_HEAD PyObject* weakrefs;
  Lock lock;
  bool flag;
  bool is_sentinel;

  bool is_held() const { return locked_is_a_flag ? flag : lock.locked(); }
  bool locked() {
    if (!is_sentinel || interrupted_at != this) return is_held();
    interrupted_at = nullptr;
    return is_held() && lock.is_mine();
  }
  void note(bool held) {
    if (locked_is_a_flag) flag = held;
  }
};

LockObject* object(PyObject* self) {
  return reinterpret_cast<LockObject*>(self);
}

[[gnu::noinline]] PyObject* acquire_slow(Hold hold, LockObject* self, PyObject* const* arguments,
                                         Py_ssize_t positional, PyObject* names) {
  std::int64_t patience;
  if (!parse_acquire(arguments, positional, names, patience)) return nullptr;

  bool acquired = false;
  if (raises([&] { acquired = self->lock.try_acquire(hold); })) return nullptr;
  if (!acquired && patience != 0) {
    const ModuleState* const state = state_of(Py_TYPE(self));
    if (!state) return nullptr;
    const Blocked end = block(*state, patience, Handlers::run, {"a lock", acquire_at_the_end},
                              [self, hold](lot::Wait& wait) {
                                if (self->is_sentinel) wait.kind = &sentinel_wait;
                                return self->lock.acquire_waiting(hold, wait);
                              });
    if (end == Blocked::raised) {
      if (self->is_sentinel) interrupted_at = self;
      return nullptr;
    }
    acquired = end == Blocked::done;
  }
  if (acquired) self->note(true);
  return PyBool_FromLong(acquired);
}

/// acquire() of a free lock and acquire(False) of a held one are most of all calls, and are
/// answered here: no parser, nothing that throws, and so none of the frame that both need.
PyObject* acquire_as(Hold hold, LockObject* self, PyObject* const* arguments, Py_ssize_t positional,
                     PyObject* names) {
  if (positional == 0 && !names && self->lock.acquire_fast(hold)) {
    self->note(true);
    Py_RETURN_TRUE;
  }
  if (positional == 1 && !names && arguments[0] == Py_False && self->lock.locked()) Py_RETURN_FALSE;
  return acquire_slow(hold, self, arguments, positional, names);
}

PyObject* release_as(Hold expected, LockObject* self) {
  if (locked_is_a_flag && !self->flag) {
    PyErr_SetString(PyExc_RuntimeError, "release unlocked lock");
    return nullptr;
  }
  if (!self->lock.release_fast(expected) && raises([&] { self->lock.give_up(expected); }))
    return nullptr;
  self->note(false);
  Py_RETURN_NONE;
}

PyObject* acquire(PyObject* self, PyObject* const* arguments, Py_ssize_t positional,
                  PyObject* names) {
  return acquire_as(Hold::bare, object(self), arguments, positional, names);
}

#if UNDERTHREAD_WITH_IS_STRICT
PyObject* enter(PyObject* self, PyObject*) {
  return acquire_as(Hold::scoped, object(self), nullptr, 0, nullptr);
}
#else
PyObject* enter(PyObject* self, PyObject* const* arguments, Py_ssize_t positional,
                PyObject* names) {
  return acquire_as(Hold::scoped, object(self), arguments, positional, names);
}
#endif

PyObject* release(PyObject* self, PyObject*) {
  return release_as(Hold::bare, object(self));
}

PyObject* exit(PyObject* self, PyObject* const*, Py_ssize_t positional) {
  return accepts_exit(positional) ? release_as(Hold::scoped, object(self)) : nullptr;
}

PyObject* locked(PyObject* self, PyObject*) {
  return PyBool_FromLong(object(self)->locked());
}

PyObject* at_fork_reinit(PyObject* self, PyObject*) {
  object(self)->lock.at_fork_reinit();
  object(self)->note(false);
  Py_RETURN_NONE;
}

PyObject* repr(PyObject* self) {
  return PyUnicode_FromFormat("<%s %s object at %p>",
                              object(self)->is_held() ? "locked" : "unlocked",
                              Py_TYPE(self)->tp_name, self);
}

PyObject* make(PyTypeObject* type, PyObject* arguments, PyObject* names) {
  return accepts_no_arguments(type, "LockType", arguments, names) ? new_lock(type) : nullptr;
}

PyMethodDef methods[] = {
    {"acquire_lock", method(acquire), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"acquire", method(acquire), METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"release_lock", release, METH_NOARGS, nullptr},
    {"release", release, METH_NOARGS, nullptr},
    {"locked_lock", locked, METH_NOARGS, nullptr},
    {"locked", locked, METH_NOARGS, nullptr},
    {"__enter__", method(enter), enter_convention, nullptr},
    {"__exit__", method(exit), METH_FASTCALL, nullptr},
    {"_at_fork_reinit", at_fork_reinit, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

PyMemberDef members[] = {
    {"__weaklistoffset__", T_PYSSIZET, offsetof(LockObject, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr},
};

}  // namespace

PyTypeObject* make_lock_type(PyObject* module, PyObject* stock) {
  PyTypeObject* const theirs = stock_type(stock, "LockType");
  if (!theirs) return nullptr;
  // Where the interpreter's own type is no function to call, ours is none.
  const bool has_instances = theirs->tp_new != nullptr;
  PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc_lock<LockObject>)},
      {Py_tp_traverse, reinterpret_cast<void*>(traverse_type)},
      {Py_tp_repr, reinterpret_cast<void*>(repr)},
      {Py_tp_methods, methods},
      {Py_tp_members, members},
      {Py_tp_doc, const_cast<char*>(theirs->tp_doc)},
      {has_instances ? Py_tp_new : 0, reinterpret_cast<void*>(make)},
      {0, nullptr},
  };
  PyType_Spec spec = {
      "_thread.lock", sizeof(LockObject), 0,
      static_cast<unsigned>(Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC | Py_TPFLAGS_IMMUTABLETYPE |
                            (has_instances ? 0 : Py_TPFLAGS_DISALLOW_INSTANTIATION)),
      slots};
  PyObject* type = nullptr;
  if (document_methods(methods, theirs)) type = PyType_FromModuleAndSpec(module, &spec, nullptr);
  Py_DECREF(theirs);
  return seal(type, has_instances);
}

PyObject* new_lock(PyTypeObject* lock_type) {
  PyObject* const self = lock_type->tp_alloc(lock_type, 0);
  if (self) new (&object(self)->lock) Lock();
  return self;
}

void make_sentinel(PyObject* lock) {
  object(lock)->is_sentinel = true;
}

void release_if_mine(PyTypeObject* lock_type, PyObject* lock) {
  if (!Py_IS_TYPE(lock, lock_type) || !object(lock)->lock.is_mine()) return;
  Refusal none;
  is_refused(none, [&] { object(lock)->lock.give_up(Hold::scoped); });
  object(lock)->note(false);
}

void release_if_held(PyObject* lock) {
  if (!object(lock)->is_held()) return;
  // The word is held where `flag` is set, so this is not refused.
  Refusal none;
  is_refused(none, [&] { object(lock)->lock.give_up(Hold::bare); });
  object(lock)->note(false);
}

}  // namespace underthread::python
