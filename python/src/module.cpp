// The module: `_thread`, as the interpreter that runs it has it, on our threads and locks.
//
// It is loaded under the name `_thread` (see underthread/__init__.py), so that what is in it says
// `__module__ == '_thread'`, as programs and CPython's own tests expect.
#include "module.h"

#include "interrupt.h"
#include "local_object.h"
#include "lock_object.h"
#include "rlock_object.h"
#include "stock.h"
#include "stock_module.h"
#include "thread_start.h"

#if PY_VERSION_HEX < 0x030B0000 || PY_VERSION_HEX >= 0x030C0000
#error "underthread._core can be built for CPython 3.11 only"
#endif

namespace underthread::python {
namespace {

PyObject* allocate_lock(PyObject* module, PyObject*) {
  return new_lock(state_of(module).lock_type);
}

PyMethodDef functions[] = {
    {"start_new_thread", start_new_thread, METH_VARARGS, nullptr},
    {"start_new", start_new_thread, METH_VARARGS, nullptr},
    {"allocate_lock", allocate_lock, METH_NOARGS, nullptr},
    {"allocate", allocate_lock, METH_NOARGS, nullptr},
    {"exit_thread", exit_thread, METH_NOARGS, nullptr},
    {"exit", exit_thread, METH_NOARGS, nullptr},
    {"interrupt_main", interrupt_main, METH_VARARGS, nullptr},
    {"_count", count, METH_NOARGS, nullptr},
    {"stack_size", stack_size, METH_VARARGS, nullptr},
    {"_set_sentinel", set_sentinel, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

// These have nothing to do with how threads wait, or are the interpreter's own business.
const char* const taken_over[] = {"error",         "TIMEOUT_MAX", "get_ident",
                                  "get_native_id", "_excepthook", "_ExceptHookArgs"};

bool add_type(PyObject* module, const char* name, PyTypeObject* type) {
  return type && PyModule_AddObjectRef(module, name, reinterpret_cast<PyObject*>(type)) == 0;
}

bool fill(PyObject* module, PyObject* stock) {
  ModuleState& state = state_of(module);
  document_functions(functions, stock);
  state.stock_count = PyObject_GetAttrString(stock, "_count");
  if (!state.stock_count) return false;

  state.lock_type = make_lock_type(module, stock);
  if (!add_type(module, "LockType", state.lock_type)) return false;
  state.rlock_type = make_rlock_type(module, stock);
  if (!add_type(module, "RLock", state.rlock_type)) return false;
  state.local_part_type = make_local_part_type(module);
  state.local_type = make_local_type(module);
  if (!state.local_part_type || !add_type(module, "_local", state.local_type)) return false;

  for (const char* name : taken_over) {
    PyObject* const theirs = PyObject_GetAttrString(stock, name);
    const bool added = theirs && PyModule_AddObjectRef(module, name, theirs) == 0;
    Py_XDECREF(theirs);
    if (!added) return false;
  }
  PyObject* const documentation = PyObject_GetAttrString(stock, "__doc__");
  const bool documented =
      documentation && PyObject_SetAttrString(module, "__doc__", documentation) == 0;
  Py_XDECREF(documentation);
  return documented && adopt_stack_size();
}

int execute(PyObject* module) {
  PyObject* const stock = import_stock(module);
  const bool filled = stock && fill(module, stock);
  Py_XDECREF(stock);
  return filled ? 0 : -1;
}

int traverse(PyObject* module, visitproc visit, void* arg) {
  ModuleState& state = state_of(module);
  Py_VISIT(state.lock_type);
  Py_VISIT(state.rlock_type);
  Py_VISIT(state.local_type);
  Py_VISIT(state.local_part_type);
  Py_VISIT(state.stock_count);
  return 0;
}

int clear(PyObject* module) {
  ModuleState& state = state_of(module);
  Py_CLEAR(state.lock_type);
  Py_CLEAR(state.rlock_type);
  Py_CLEAR(state.local_type);
  Py_CLEAR(state.local_part_type);
  Py_CLEAR(state.stock_count);
  return 0;
}

void free(void* module) {
  clear(static_cast<PyObject*>(module));
}

PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(execute)},
    {0, nullptr},
};

PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    "_thread",
    nullptr,
    sizeof(ModuleState),
    functions,
    slots,
    traverse,
    clear,
    free,
};

}  // namespace

ModuleState& state_of(PyObject* module) {
  return *static_cast<ModuleState*>(PyModule_GetState(module));
}

PyTypeObject* local_part_type(PyTypeObject* local_type) {
  PyObject* const module = PyType_GetModuleByDef(local_type, &definition);
  return module ? state_of(module).local_part_type : nullptr;
}

}  // namespace underthread::python

// Two names for one module: the loader asks for the one that ends in the name it was given.
PyMODINIT_FUNC PyInit__core() {
  return PyModuleDef_Init(&underthread::python::definition);
}
PyMODINIT_FUNC PyInit__thread() {
  return PyModuleDef_Init(&underthread::python::definition);
}
