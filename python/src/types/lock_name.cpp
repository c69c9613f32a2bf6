#include "types/lock_name.h"

#include <string>

#include "cpython/errors.h"
#include "inspect/seen_objects.h"
#include "seen.h"
#include "state/module_state.h"

namespace underthread::python {
PyObject* name_lock(PyObject* module, PyObject* arguments) {
  PyObject* object = nullptr;
  PyObject* name = nullptr;
  if (!PyArg_ParseTuple(arguments, "OO:name", &object, &name)) return nullptr;
  const ModuleState& state = state_of(module);
  const bool is_rlock = PyObject_TypeCheck(object, state.rlock_type);
  if (!is_rlock && !Py_IS_TYPE(object, state.lock_type))
    return PyErr_Format(PyExc_TypeError,
                        "name() takes a lock or an RLock that is underthread's, not %R", object);
  if (name != Py_None && !PyUnicode_Check(name))
    return PyErr_Format(PyExc_TypeError, "a lock's name is a str, or None for none, not %R", name);
  const void* const lock = reinterpret_cast<const char*>(object) + lock_offset;
  if (name == Py_None) {
    unname_lock(lock);
    Py_RETURN_NONE;
  }
  // What is no text (a surrogate alone) is shown as it is written.
  PyObject* const bytes = PyUnicode_AsEncodedString(name, "utf-8", "backslashreplace");
  if (!bytes) return nullptr;
  const bool failed = raises([&] {
    underthread::name_lock(
        lock, is_rlock,
        std::string(PyBytes_AS_STRING(bytes), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes))));
  });
  Py_DECREF(bytes);
  if (failed) return nullptr;
  Py_RETURN_NONE;
}

}  // namespace underthread::python
