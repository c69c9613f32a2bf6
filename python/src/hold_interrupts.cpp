#include "hold_interrupts.h"

#include <underthread/ident.h>

#include <array>
#include <cstddef>
#include <cstdint>

#include "blocking.h"
#include "inbox.h"
#include "module.h"
#include "os/signal_action.h"
#include "signal_slot.h"

namespace underthread::python {
namespace {

struct HoldObject {
  PyObject_HEAD Ident ident;  ///< of the thread that is in the block; 0: none
};

HoldObject* object(PyObject* self) {
  return reinterpret_cast<HoldObject*>(self);
}

/// The main thread's signals while it holds interrupts off: each that has a handler in Python has
/// `note` for one, which runs where that would. Touched by the main thread alone, with the GIL.
struct HeldSignals {
  int depth;
  std::array<PyObject*, 65> handlers;  ///< by number; null: not one of them
  std::array<bool, 65> has_come;
};
constinit HeldSignals held = {};

PyObject* note(PyObject*, PyObject* arguments) {
  int signum = 0;
  PyObject* frame = nullptr;
  if (!PyArg_ParseTuple(arguments, "iO", &signum, &frame)) return nullptr;
  held.has_come[static_cast<std::size_t>(signum)] = true;
  Py_RETURN_NONE;
}

PyMethodDef note_method = {"_underthread_note", note, METH_VARARGS, nullptr};

bool is_note(PyObject* handler) {
  return PyCFunction_Check(handler) && PyCFunction_GET_FUNCTION(handler) == note;
}

bool set_handler(PyObject* signal, int signum, PyObject* handler) {
  PyObject* const before = PyObject_CallMethod(signal, "signal", "iO", signum, handler);
  Py_XDECREF(before);
  return before != nullptr;
}

/// A Python error, put aside.
struct Aside {
  PyObject* type = nullptr;
  PyObject* error = nullptr;
  PyObject* traceback = nullptr;
  /// Puts the one that is set aside, unless there is one already; that one is dropped.
  void take() {
    if (type)
      PyErr_Clear();
    else
      PyErr_Fetch(&type, &error, &traceback);
  }
  /// @return false: it is set again
  bool restore() const {
    PyErr_Restore(type, error, traceback);
    return !type;
  }
};

/// Gives the signals their handlers back, those that nobody has given another meanwhile, and has
/// the interpreter run the handlers of those that have come. @return false: one raised
bool release_signals() {
  Aside aside;
  PyObject* const signal = PyImport_ImportModule("_signal");
  for (int signum = 1; signal && signum < static_cast<int>(held.handlers.size()); ++signum) {
    PyObject*& handler = held.handlers[static_cast<std::size_t>(signum)];
    if (!handler) continue;
    PyObject* const now = PyObject_CallMethod(signal, "getsignal", "i", signum);
    // To set one runs what is due first, which may raise instead: one that has its handler again.
    bool is_set = !now || !is_note(now);
    for (int attempt = 0; !is_set && attempt < 64; ++attempt) {
      is_set = set_handler(signal, signum, handler);
      if (!is_set) aside.take();
    }
    Py_XDECREF(now);
    Py_CLEAR(handler);
  }
  Py_XDECREF(signal);
  for (int signum = 1; signum < static_cast<int>(held.has_come.size()); ++signum) {
    bool& has_come = held.has_come[static_cast<std::size_t>(signum)];
    if (has_come) note_signal(signum);
    has_come = false;
  }
  // What was put aside goes first, and the rest where the interpreter looks around next.
  if (!aside.type && PyErr_CheckSignals() != 0) return false;
  return aside.restore();
}

/// @return false: a Python error is set, and nothing is held
bool hold_signals() {
  // At the end the interpreter has taken the handlers away.
  if (held.depth++ > 0 || is_finalizing()) return true;
  PyObject* const signal = claim_signal_slot() ? PyImport_ImportModule("_signal") : nullptr;
  PyObject* const ours = signal ? PyCFunction_New(&note_method, nullptr) : nullptr;
  bool well = ours != nullptr;
  const int last = os::last_signal();
  for (int signum = 1; well && signum <= last; ++signum) {
    if (signum == signal_slot() || os::signal_action(signum) == os::SignalAction::system_default)
      continue;
    PyObject* const handler = PyObject_CallMethod(signal, "getsignal", "i", signum);
    if (handler && PyCallable_Check(handler)) {
      well = set_handler(signal, signum, ours);
      if (well) held.handlers[static_cast<std::size_t>(signum)] = Py_NewRef(handler);
    } else if (!handler) {
      well = false;
    }
    Py_XDECREF(handler);
  }
  Py_XDECREF(ours);
  Py_XDECREF(signal);
  if (well) return true;
  // What a handler raised that was due, or a lack of memory.
  Aside aside;
  aside.take();
  --held.depth;
  if (!release_signals()) PyErr_WriteUnraisable(nullptr);
  return aside.restore();
}

PyObject* enter(PyObject* self, PyObject*) {
  ModuleState* const state = state_of(Py_TYPE(self));
  if (!state) return nullptr;
  if (object(self)->ident != 0) {
    PyErr_SetString(PyExc_RuntimeError, "it holds interrupts off already");
    return nullptr;
  }
  if (!hold_sent(*state)) return nullptr;
  if (runs_handlers_here() && !hold_signals()) {
    release_sent(*state, false);
    return nullptr;
  }
  object(self)->ident = get_ident();
  return Py_NewRef(self);
}

PyObject* exit(PyObject* self, PyObject*) {
  ModuleState* const state = state_of(Py_TYPE(self));
  if (!state) return nullptr;
  if (object(self)->ident != get_ident()) {
    PyErr_SetString(PyExc_RuntimeError, object(self)->ident == 0
                                            ? "it does not hold interrupts off"
                                            : "another thread holds interrupts off by it");
    return nullptr;
  }
  object(self)->ident = 0;
  const bool well = !runs_handlers_here() || --held.depth > 0 || release_signals();
  if (!release_sent(*state, well) || !well) return nullptr;
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
