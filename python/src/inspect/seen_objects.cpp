#include "inspect/seen_objects.h"

#include <cstdint>

#include "cpython/errors.h"

namespace underthread::python {
namespace {

unsigned long long address_of(const void* lock) {
  return lock ? reinterpret_cast<std::uintptr_t>(lock) - lock_offset : 0;
}

double seconds(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

PyObject* text(const std::string& bytes) {
  return PyUnicode_DecodeUTF8(bytes.data(), static_cast<Py_ssize_t>(bytes.size()), "replace");
}

PyObject* wait_tuple(const WaitSeen& wait) {
  PyObject* const left = wait.left ? PyFloat_FromDouble(seconds(*wait.left)) : Py_NewRef(Py_None);
  PyObject* const blocker =
      wait.has_blocker ? PyLong_FromUnsignedLong(wait.blocker) : Py_NewRef(Py_None);
  PyObject* const name = text(wait.name);
  PyObject* made = nullptr;
  if (left && blocker && name)
    made = Py_BuildValue("sKOdOOOO", wait.kind.c_str(), address_of(wait.address), name,
                         seconds(wait.lasted), left, wait.interrupts_end_it ? Py_True : Py_False,
                         blocker, wait.only_it_can ? Py_True : Py_False);
  Py_XDECREF(left);
  Py_XDECREF(blocker);
  Py_XDECREF(name);
  return made;
}

/// A list of `tuple_of` each.
template <class All, class Function>
PyObject* list_of(const All& all, Function tuple_of) {
  PyObject* const list = PyList_New(0);
  for (const auto& one : all) {
    PyObject* const made = list ? tuple_of(one) : nullptr;
    const bool well = made && PyList_Append(list, made) == 0;
    Py_XDECREF(made);
    if (well) continue;
    Py_XDECREF(list);
    return nullptr;
  }
  return list;
}

}  // namespace

PyObject* thread_tuple(const ThreadSeen& thread) {
  PyObject* const wait = thread.wait ? wait_tuple(*thread.wait) : Py_NewRef(Py_None);
  PyObject* const name = text(thread.name);
  PyObject* made = nullptr;
  if (wait && name)
    made = Py_BuildValue("kKOOOO", static_cast<unsigned long>(thread.ident),
                         static_cast<unsigned long long>(thread.native_id), name,
                         thread.is_main ? Py_True : Py_False,
                         thread.holds_interrupts ? Py_True : Py_False, wait);
  Py_XDECREF(wait);
  Py_XDECREF(name);
  return made;
}

PyObject* lock_tuple(const LockSeen& lock) {
  PyObject* const name = text(lock.name);
  if (!name) return nullptr;
  return Py_BuildValue("sKNOkOnd", lock.kind.c_str(), address_of(lock.address), name,
                       lock.is_held ? Py_True : Py_False, static_cast<unsigned long>(lock.holder),
                       lock.is_scoped ? Py_True : Py_False, static_cast<Py_ssize_t>(lock.waiting),
                       seconds(lock.held));
}

PyObject* deadlock_tuple(const Deadlock& deadlock) {
  const char* const kind = deadlock.kind == Deadlock::Kind::certain    ? "certain"
                           : deadlock.kind == Deadlock::Kind::possible ? "possible"
                                                                       : "timed";
  PyObject* const threads = list_of(deadlock.threads, thread_tuple);
  if (!threads) return nullptr;
  return Py_BuildValue("sON", kind, deadlock.is_orphaned ? Py_True : Py_False, threads);
}

PyObject* deadlock_seen_tuple(const DeadlockSeen& deadlock) {
  PyObject* const threads =
      list_of(deadlock.threads, [](Ident ident) { return PyLong_FromUnsignedLong(ident); });
  if (!threads) return nullptr;
  return Py_BuildValue("sON", deadlock.kind.c_str(), deadlock.is_orphaned ? Py_True : Py_False,
                       threads);
}

PyObject* snapshot(PyObject*, PyObject*) {
  Snapshot all;
  // Without the GIL's being let go: what is named here is not gone.
  if (raises([&] { all = underthread::snapshot(); })) return nullptr;
  PyObject* const threads = list_of(all.threads, thread_tuple);
  PyObject* const locks = threads ? list_of(all.locks, lock_tuple) : nullptr;
  PyObject* const deadlocks = locks ? list_of(all.deadlocks, deadlock_seen_tuple) : nullptr;
  if (deadlocks) return Py_BuildValue("NNN", threads, locks, deadlocks);
  Py_XDECREF(threads);
  Py_XDECREF(locks);
  return nullptr;
}

}  // namespace underthread::python
