// Carriers: the classes that the interpreter is told to raise in a thread
// (PyThreadState_SetAsyncExc) in place of an exception's own. It makes an instance where it raises
// it, and to make one of a carrier is to take what was sent out of the thread's inbox.
//
// A class costs more to make than all the rest of an interrupt, and is garbage only for the
// collector: the last few are kept.
#pragma once

#include <array>

#include "cpython.h"

namespace underthread::python {

struct ModuleState;

struct RecentCarriers {
  std::array<PyObject*, 4> carriers;  ///< of different classes; null: none yet
  unsigned next;                      ///< to be replaced
};

/// A carrier for an exception, a class or an instance: it looks as the exception's class and is a
/// subclass of it, since where the interpreter makes an error late it is asked for its class
/// before. Null: a Python error is set.
PyObject* carrier_of(PyObject* module, PyObject* exception);

/// For the module's `traverse` and `clear`.
int visit_carriers(const ModuleState& state, visitproc visit, void* arg);
void forget_carriers(ModuleState& state);

}  // namespace underthread::python
