#include "carrier.h"

#include <utility>

#include "inbox.h"
#include "module.h"

namespace underthread::python {
namespace {

/// `__new__` of every carrier: what the interpreter calls to make the exception that it has been
/// told of.
PyObject* make_sent(PyObject* module, PyObject* arguments) {
  PyTypeObject* carrier = nullptr;
  if (!PyArg_ParseTuple(arguments, "O!", &PyType_Type, &carrier)) return nullptr;
  PyObject* const made = take_sent(module, reinterpret_cast<PyObject*>(carrier),
                                   reinterpret_cast<PyObject*>(carrier->tp_base));
  if (!made || !errors_keep_the_class_they_were_told || !PyExceptionInstance_Check(made))
    return made;
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made)), made);
  Py_DECREF(made);
  return nullptr;
}

PyMethodDef make_sent_method = {"__new__", method(make_sent), METH_VARARGS, nullptr};

PyObject* make_carrier(PyObject* module, PyObject* type) {
  PyObject* const function = PyCFunction_New(&make_sent_method, module);
  PyObject* const maker =
      function ? PyObject_CallFunctionObjArgs(reinterpret_cast<PyObject*>(&PyStaticMethod_Type),
                                              function, nullptr)
               : nullptr;
  PyObject* const name = maker ? PyObject_GetAttrString(type, "__name__") : nullptr;
  PyObject* const origin = name ? PyObject_GetAttrString(type, "__module__") : nullptr;
  PyObject* const carrier =
      origin ? PyObject_CallFunction(reinterpret_cast<PyObject*>(Py_TYPE(type)), "O(O){sOsO}", name,
                                     type, "__new__", maker, "__module__", origin)
             : nullptr;
  Py_XDECREF(origin);
  Py_XDECREF(name);
  Py_XDECREF(maker);
  Py_XDECREF(function);
  return carrier;
}

bool is_of(PyObject* carrier, PyObject* type) {
  return reinterpret_cast<PyObject*>(reinterpret_cast<PyTypeObject*>(carrier)->tp_base) == type;
}

}  // namespace

PyObject* carrier_of(PyObject* module, PyObject* exception) {
  PyObject* const type = PyExceptionClass_Check(exception)
                             ? exception
                             : reinterpret_cast<PyObject*>(Py_TYPE(exception));
  RecentCarriers& recent = state_of(module).recent_carriers;
  {
    const InboxGuard guard;
    for (PyObject* carrier : recent.carriers)
      if (carrier && is_of(carrier, type)) return Py_NewRef(carrier);
  }
  PyObject* const made = make_carrier(module, type);
  // Whatever a metaclass has made of it: only one that is as we know it serves for another.
  if (!made || !PyType_Check(made) || !is_of(made, type)) return made;
  PyObject* replaced = nullptr;
  {
    const InboxGuard guard;
    PyObject*& place = recent.carriers[recent.next++ % recent.carriers.size()];
    replaced = std::exchange(place, Py_NewRef(made));
  }
  Py_XDECREF(replaced);
  return made;
}

int visit_carriers(const ModuleState& state, visitproc visit, void* arg) {
  for (PyObject* carrier : state.recent_carriers.carriers) Py_VISIT(carrier);
  return 0;
}

void forget_carriers(ModuleState& state) {
  for (PyObject*& carrier : state.recent_carriers.carriers) Py_CLEAR(carrier);
}

}  // namespace underthread::python
