#include "cpython/stock_module.h"

namespace underthread::python {
namespace {

/// The module that an init function gave (before 3.10), or the one that is made by its definition.
PyObject* finish(PyObject* made, PyObject* ours) {
  if (!made || !PyObject_TypeCheck(made, &PyModuleDef_Type)) return made;
  PyModuleDef* const definition = reinterpret_cast<PyModuleDef*>(made);  // borrowed: it is static
  // Ours was found where the interpreter's own would have been, so it is the same.
  PyObject* const spec = PyObject_GetAttrString(ours, "__spec__");
  if (!spec) return nullptr;
  PyObject* const module = PyModule_FromDefAndSpec(definition, spec);
  Py_DECREF(spec);
  if (module && PyModule_ExecDef(module, definition) != 0) {
    Py_DECREF(module);
    return nullptr;
  }
  return module;
}

}  // namespace

constinit InitFunction stock_init = nullptr;

PyObject* import_stock(PyObject* ours) {
  return stock_init ? finish(stock_init(), ours) : PyImport_ImportModule("_thread");
}

}  // namespace underthread::python
