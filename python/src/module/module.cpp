// The module: `_thread`, as the interpreter that runs it has it, on our threads and locks.
//
// It is loaded under the name `_thread` (see underthread/__init__.py), so that what is in it says
// `__module__ == '_thread'`, as programs and CPython's own tests expect.
#include "state/module_state.h"

#include <underthread/deadlock.h>

#include "cpython/errors.h"
#include "cpython/stock_module.h"
#include "inspect/deadlock_handler.h"
#include "inspect/dump_request.h"
#include "inspect/seen_objects.h"
#include "interrupts/interrupt.h"
#include "interrupts/interrupts.h"
#include "interrupts/main_thread.h"
#include "module/replace_references.h"
#include "state/stock.h"
#include "threads/thread_handle.h"
#include "threads/thread_start.h"
#include "types/local_object.h"
#include "types/lock_name.h"
#include "types/lock_object.h"
#include "types/rlock_object.h"

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
    {"interrupt_main", interrupt_main, interrupt_main_convention, nullptr},
    {"_count", count, METH_NOARGS, nullptr},
    {"stack_size", stack_size, METH_VARARGS, nullptr},
#if UNDERTHREAD_HAS_SENTINEL
    {"_set_sentinel", set_sentinel, METH_NOARGS, nullptr},
#else
    {"start_joinable_thread", method(start_joinable_thread), METH_VARARGS | METH_KEYWORDS, nullptr},
    {"_make_thread_handle", make_thread_handle, METH_O, nullptr},
    {"_shutdown", shutdown, METH_NOARGS, nullptr},
#endif
#if UNDERTHREAD_NAMES_THREADS
    {"set_name", method(set_name), METH_VARARGS | METH_KEYWORDS, nullptr},
#endif
    {nullptr, nullptr, 0, nullptr},
};

/// What the package has besides `_thread`.
PyMethodDef package_functions[] = {
    {"replace_references", replace_references, METH_VARARGS, nullptr},
    {"account", account, METH_NOARGS, nullptr},
    {"snapshot", snapshot, METH_NOARGS, nullptr},
    {"name", name_lock, METH_VARARGS, nullptr},
    {"set_deadlock_handler", set_deadlock_handler, METH_O, nullptr},
    {"take_dump_requests", take_dump_requests, METH_VARARGS, nullptr},
    {"unused_signal", unused_signal, METH_NOARGS, nullptr},
    {"set_stacks_signal", set_stacks_signal, METH_VARARGS, nullptr},
    {"dump_after", dump_after, METH_VARARGS, nullptr},
    {"ask_for_dump", ask_for_dump, METH_VARARGS, nullptr},
    {"interrupt", interrupt, METH_VARARGS, nullptr},
    {"prompt_interrupts", prompt_interrupts, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

bool add(PyObject* module, const char* name, PyTypeObject* type) {
  return type && PyModule_AddObjectRef(module, name, reinterpret_cast<PyObject*>(type)) == 0;
}

bool add_types(PyObject* module, ModuleState& state) {
  PyObject* const stock = state.stock;
  state.lock_type = make_lock_type(module, stock);
  // The type is `lock` itself where that can be called.
  if (!add(module, "LockType", state.lock_type) ||
      (state.lock_type->tp_new && !add(module, "lock", state.lock_type)))
    return false;
  state.rlock_type = make_rlock_type(module, stock);
  if (!add(module, "RLock", state.rlock_type)) return false;
  state.locals_key = PyUnicode_InternFromString("underthread.locals");
  state.locals_type = make_locals_type(module);
  state.local_type = make_local_type(module, stock);
  if (!state.locals_key || !state.locals_type || !add(module, "_local", state.local_type))
    return false;
#if !UNDERTHREAD_HAS_SENTINEL
  state.handle_type = make_handle_type(module);
  if (!add(module, "_ThreadHandle", state.handle_type)) return false;
#endif
  return true;
}

/// Adds `_underthread`, by which the package finds what is its own.
bool add_package(PyObject* module, ModuleState& state) {
  PyObject* const package = PyModule_New("underthread");
  bool well = package && add(package, "hold_interrupts", state.interrupts->hold_type) &&
              add(package, "time_limit", state.interrupts->limit_type);
  for (PyMethodDef* each = package_functions; well && each->ml_name; ++each) {
    PyObject* const function = PyCFunction_New(each, module);
    well = function && PyModule_AddObjectRef(package, each->ml_name, function) == 0;
    Py_XDECREF(function);
  }
  well = well && PyModule_AddObjectRef(module, "_underthread", package) == 0;
  Py_XDECREF(package);
  return well;
}

int execute(PyObject* module) {
  ModuleState& state = state_of(module);
  // Deadlocks are told by the waits of this module, in Python, and not by the library's.
  if (raises([] { underthread::set_deadlock_handler(nullptr); })) return -1;
  state.stock = import_stock(module);
  if (!state.stock) return -1;
  document_functions(functions, state.stock);
  const bool filled =
      find_whether_threads_are_allowed(state) && add_types(module, state) &&
      make_interrupts(module) && add_package(module, state) &&
      take_over_the_rest(module, state.stock) && adopt_stack_size() &&
      PyModule_AddStringConstant(module, "_underthread_version", UNDERTHREAD_VERSION) == 0;
  if (filled) close_at_the_end(module);
  return filled ? 0 : -1;
}

int traverse(PyObject* module, visitproc visit, void* arg) {
  ModuleState& state = state_of(module);
  Py_VISIT(state.stock);
  Py_VISIT(state.lock_type);
  Py_VISIT(state.rlock_type);
  Py_VISIT(state.local_type);
  Py_VISIT(state.locals_type);
  Py_VISIT(state.handle_type);
  Py_VISIT(state.deadlock_handler);
  Py_VISIT(state.dump_handler);
  return visit_interrupts(state, visit, arg);
}

int clear(PyObject* module) {
  ModuleState& state = state_of(module);
  refuse_dump_requests(state);
  delete_interrupts(state);
#if !UNDERTHREAD_HAS_SENTINEL
  forget_awaited(state);
#endif
  Py_CLEAR(state.stock);
  Py_CLEAR(state.lock_type);
  Py_CLEAR(state.rlock_type);
  Py_CLEAR(state.local_type);
  Py_CLEAR(state.locals_type);
  Py_CLEAR(state.handle_type);
  Py_CLEAR(state.deadlock_handler);
  Py_CLEAR(state.dump_handler);
  Py_CLEAR(state.locals_key);
  return 0;
}

void free(void* module) {
  clear(static_cast<PyObject*>(module));
}

PyModuleDef_Slot slots[] = {
    {Py_mod_exec, reinterpret_cast<void*>(execute)},
#ifdef Py_MOD_PER_INTERPRETER_GIL_SUPPORTED
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_MOD_GIL_NOT_USED
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
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

ModuleState* state_of(PyTypeObject* type) {
  PyObject* const module = module_of(type, definition);
  return module ? &state_of(module) : nullptr;
}

}  // namespace underthread::python

// Two names for one module: the loader asks for the one that ends in the name it was given.
PyMODINIT_FUNC PyInit__core() {
  return PyModuleDef_Init(&underthread::python::definition);
}
PyMODINIT_FUNC PyInit__thread() {
  return PyModuleDef_Init(&underthread::python::definition);
}
