#include "interrupts/hold_interrupts.h"

#include <underthread/ident.h>

#include <cstdint>
#include <utility>

#include "interrupts/async_exception.h"
#include "interrupts/guard.h"
#include "interrupts/interrupts.h"
#include "interrupts/main_thread.h"
#include "interrupts/signal_fronts.h"
#include "lot/thread_record.h"

namespace underthread::python {
namespace {

struct HoldObject {
  PyObject_HEAD Ident ident;  ///< of the thread that is in the block; 0: none
  std::uint32_t holder;       ///< its record and generation; 0: it has none

  /// Makes it this thread's. @return false: it is somebody's
  bool claim() {
    const Guard guard;
    if (ident != 0) return false;
    const lot::ThreadRecord* const me = lot::current();
    holder = me ? me->holder : 0;
    ident = get_ident();
    return true;
  }

  bool is_here() const {
    const lot::ThreadRecord* const me = lot::current();
    return ident == get_ident() && (!me || holder == 0 || holder == me->holder);
  }
};

HoldObject* object(PyObject* self) {
  return reinterpret_cast<HoldObject*>(self);
}

PyObject* enter(PyObject* self, PyObject*) {
  Interrupts* const all = interrupts_of(Py_TYPE(self));
  if (!all || !learn(*all)) return nullptr;
  HoldObject& it = *object(self);
  if (!it.claim()) {
    PyErr_Format(PyExc_RuntimeError,
                 "this hold_interrupts() is in use: %s is in its block; make one for each block",
                 it.is_here() ? "this thread" : "another thread");
    return nullptr;
  }
  bool is_first = false;
  if (!hold(*all, is_first)) {
    it.ident = 0;
    return nullptr;
  }
  const bool holds_signals = is_first && runs_handlers_here();
  if (holds_signals) hold_python_signals();
  // Signals that came before have their handlers run here: some interpreters (3.14, and up to 3.10)
  // do that between this call and the block, and what is raised there leaves the hold in force.
  const bool is_quiet = !holds_signals || PyErr_CheckSignals() == 0;
  if (is_quiet && settle_interpreter(*all)) return Py_NewRef(self);
  // What came just before is raised instead of the block.
  it.ident = 0;
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  if (release(*all) && runs_handlers_here() && !release_python_signals())
    PyErr_WriteUnraisable(self);
  PyErr_Restore(type, error, traceback);
  return nullptr;
}

PyObject* exit(PyObject* self, PyObject* arguments) {
  Interrupts* const all = interrupts_of(Py_TYPE(self));
  if (!all) return nullptr;
  forget_in_child(*all);
  HoldObject& it = *object(self);
  if (it.ident == 0) {
    PyErr_SetString(PyExc_RuntimeError,
                    "this hold_interrupts() holds nothing off: its block has not been entered, or "
                    "has been left");
    return nullptr;
  }
  if (!it.is_here()) {
    // A generator that is suspended in the block may be closed wherever it is collected, and holds
    // nothing off from then on.
    PyObject* const type =
        PyTuple_GET_SIZE(arguments) > 0 ? PyTuple_GET_ITEM(arguments, 0) : Py_None;
    if (type != PyExc_GeneratorExit && is_held_by(*all, it.ident, it.holder)) {
      PyErr_SetString(
          PyExc_RuntimeError,
          "another thread holds interrupts off by this hold_interrupts(): only that can "
          "leave its block");
      return nullptr;
    }
    const Ident ident = std::exchange(it.ident, Ident{0});
    const bool mains = ident == main_ident();
    if (release_for(*all, ident, it.holder) && mains) release_signals_of_main_thread();
    Py_RETURN_NONE;
  }
  it.ident = 0;
  // Signals' handlers first: what one raises goes before what was sent, which is raised behind it.
  const bool is_last = release(*all);
  if (is_last && runs_handlers_here() && !release_python_signals()) return nullptr;
  if (is_last && !raise_due(*all, nullptr)) return nullptr;
  Py_RETURN_NONE;
}

PyObject* make(PyTypeObject* type, PyObject* arguments, PyObject* names) {
  if (PyTuple_GET_SIZE(arguments) > 0 || (names && PyDict_GET_SIZE(names) > 0)) {
    PyErr_SetString(PyExc_TypeError, "hold_interrupts() takes no arguments");
    return nullptr;
  }
  return type->tp_alloc(type, 0);
}

void dealloc(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

PyMethodDef methods[] = {
    {"__enter__", enter, METH_NOARGS, nullptr},
    {"__exit__", exit, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr},
};

const char documentation[] =
    "hold_interrupts()\n--\n\n"
    "A block that nothing interrupts, to be used by `with`.\n\n"
    "What comes meanwhile for this thread is delivered when the block is left: an exception of\n"
    "interrupt() or time_limit(), and in the main thread what interrupt_main(), Ctrl-C or another\n"
    "signal has its handler do. Waits go on for as long as they take. Nests.";

}  // namespace

PyTypeObject* make_hold_interrupts_type(PyObject* module) {
  PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(make)},
      {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
      {Py_tp_methods, methods},
      {Py_tp_doc, const_cast<char*>(documentation)},
      {0, nullptr},
  };
  PyType_Spec spec = {"underthread.hold_interrupts", sizeof(HoldObject), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE, slots};
  return reinterpret_cast<PyTypeObject*>(PyType_FromModuleAndSpec(module, &spec, nullptr));
}

}  // namespace underthread::python
