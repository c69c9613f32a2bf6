// Where the library's exceptions become Python's. None may cross a frame of the interpreter, and
// only the types that the library names are caught: anything else, the system's own unwinding of a
// daemon thread at finalization above all, has to pass.
#pragma once

#include <underthread/errors.h>

#include <cstdio>
#include <new>
#include <stdexcept>

#include "cpython/cpython.h"

namespace underthread::python {

/// A request that the library refused, kept until the caller holds the GIL and can raise it.
/// Trivial, so that it may stand on a stack that the system unwinds.
struct Refusal {
  PyObject* type = nullptr;  ///< null: nothing was refused
  char reason[512];

  void note(PyObject* python_type, const char* what) {
    type = python_type;
    std::snprintf(reason, sizeof reason, "%s", what);
  }
  /// Sets the Python error. The GIL is held.
  void raise() const { PyErr_SetString(type, reason); }
};

/// Calls `request`; true when it was refused, and `refusal` says why. Needs no GIL.
template <class Request>
bool is_refused(Refusal& refusal, Request request) {
  try {
    request();
    return false;
  } catch (const error& refused) {
    refusal.note(PyExc_RuntimeError, refused.what());
  } catch (const std::overflow_error& refused) {
    refusal.note(PyExc_OverflowError, refused.what());
  } catch (const std::invalid_argument& refused) {
    refusal.note(PyExc_ValueError, refused.what());
  } catch (const std::bad_alloc&) {
    refusal.note(PyExc_MemoryError, "");
  }
  return true;
}

/// The same where the GIL is held: true when it was refused, and the Python error is set.
template <class Request>
bool raises(Request request) {
  Refusal refusal;
  if (!is_refused(refusal, request)) return false;
  refusal.raise();
  return true;
}

}  // namespace underthread::python
