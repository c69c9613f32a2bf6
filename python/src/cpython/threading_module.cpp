#include "cpython/threading_module.h"

namespace underthread::python {

PyObject* of_threading(const char* name) {
  PyObject* const threading = PyUnicode_FromString("threading");
  PyObject* const module = threading ? PyImport_GetModule(threading) : nullptr;
  PyObject* const value = module ? attribute_of(module, name) : nullptr;
  Py_XDECREF(module);
  Py_XDECREF(threading);
  return value;
}

PyObject* attribute_of(PyObject* object, const char* name) {
  PyObject* const value = PyObject_GetAttrString(object, name);
  if (!value && PyErr_ExceptionMatches(PyExc_AttributeError)) PyErr_Clear();
  return value;
}

}  // namespace underthread::python
