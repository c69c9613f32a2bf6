#include "stock.h"

namespace underthread::python {

void document_functions(PyMethodDef* functions, PyObject* stock) {
  for (PyMethodDef* function = functions; function->ml_name; ++function) {
    PyObject* const theirs = PyObject_GetAttrString(stock, function->ml_name);
    if (!theirs) {
      PyErr_Clear();
      continue;
    }
    // The text is static in the interpreter: it needs no reference to stay.
    if (PyCFunction_Check(theirs))
      function->ml_doc = reinterpret_cast<PyCFunctionObject*>(theirs)->m_ml->ml_doc;
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
    *kept = *method;
    if (Py_IS_TYPE(theirs, &PyMethodDescr_Type))
      kept->ml_doc = reinterpret_cast<PyMethodDescrObject*>(theirs)->d_method->ml_doc;
    ++kept;
  }
  *kept = PyMethodDef{};
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

}  // namespace underthread::python
