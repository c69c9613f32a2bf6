#include "state/stock.h"

#include "state/module_state.h"

namespace underthread::python {
namespace {

// The tables are the process's, and each interpreter that loads the module gives them the same
// texts: those that come later only read.
void document(PyMethodDef& function, const char* text) {
  if (function.ml_doc != text) function.ml_doc = text;
}

}  // namespace

void document_functions(PyMethodDef* functions, PyObject* stock) {
  for (PyMethodDef* function = functions; function->ml_name; ++function) {
    PyObject* const theirs = PyObject_GetAttrString(stock, function->ml_name);
    if (!theirs) {
      PyErr_Clear();
      continue;
    }
    // The text is static in the interpreter: it needs no reference to stay.
    if (PyCFunction_Check(theirs))
      document(*function, reinterpret_cast<PyCFunctionObject*>(theirs)->m_ml->ml_doc);
    Py_DECREF(theirs);
  }
}

bool document_methods(PyMethodDef* methods, PyTypeObject* stock) {
  PyMethodDef* kept = methods;
  for (PyMethodDef* method = methods; method->ml_name; ++method) {
    PyObject* const name = PyUnicode_FromString(method->ml_name);
    if (!name) return false;
    PyObject* const theirs = PyDict_GetItemWithError(stock->tp_dict, name);
    Py_DECREF(name);
    if (!theirs && PyErr_Occurred()) return false;
    if (!theirs) continue;
    if (kept != method) *kept = *method;
    if (Py_IS_TYPE(theirs, &PyMethodDescr_Type))
      document(*kept, reinterpret_cast<PyMethodDescrObject*>(theirs)->d_method->ml_doc);
    ++kept;
  }
  if (kept->ml_name) *kept = PyMethodDef{};
  return true;
}

PyTypeObject* stock_type(PyObject* stock, const char* name) {
  PyObject* const type = PyObject_GetAttrString(stock, name);
  if (type && !PyType_Check(type)) {
    PyErr_Format(PyExc_TypeError, "_thread.%s is not a type", name);
    Py_DECREF(type);
    return nullptr;
  }
  return reinterpret_cast<PyTypeObject*>(type);
}

bool take_over_the_rest(PyObject* module, PyObject* stock) {
  PyObject* const ours = PyModule_GetDict(module);
  PyObject* const theirs = PyModule_GetDict(stock);
  PyObject *name, *value;
  Py_ssize_t position = 0;
  // `ours` changes; `theirs`, which is walked, does not.
  while (PyDict_Next(theirs, &position, &name, &value)) {
    const char* const text = PyUnicode_AsUTF8(name);
    if (!text) return false;
    if (text[0] == '_' && text[1] == '_') continue;
    const int known = PyDict_Contains(ours, name);
    if (known < 0 || (known == 0 && PyDict_SetItem(ours, name, value) < 0)) return false;
  }
  PyObject* const documentation = PyDict_GetItemString(theirs, "__doc__");
  return !documentation || PyDict_SetItemString(ours, "__doc__", documentation) == 0;
}

bool accepts_no_arguments(PyTypeObject* type, const char* name, PyObject* arguments,
                          PyObject* names) {
  const bool given =
      (arguments && PyTuple_GET_SIZE(arguments) > 0) || (names && PyDict_GET_SIZE(names) > 0);
  // A class with an `__init__` of its own takes what that takes.
  if (!given || type->tp_init != PyBaseObject_Type.tp_init) return true;
  const ModuleState* const state = state_of(type);
  PyTypeObject* const theirs = state ? stock_type(state->stock, name) : nullptr;
  if (!theirs) return false;
  PyObject* const made = theirs->tp_new ? theirs->tp_new(theirs, arguments, names) : nullptr;
  Py_DECREF(theirs);
  Py_XDECREF(made);
  return made != nullptr;
}

}  // namespace underthread::python
