// A start whose thread has failed before it had begun (threads/thread_bootstrap.h), as its starter
// gets to know.
#pragma once

#include <cstdint>

#include "cpython/cpython.h"

namespace underthread::python {

/// How far a thread has come that starts another.
enum class Start : std::uint8_t {
  left,        ///< it is not in `thread.start()` any more
  on_stack,    ///< it is, and runs code that is none of threading's there: a signal's handler
  waited_for,  ///< it is, and nothing but threading's code is in between; also where there is no
               ///< memory to look
};
/// By the frames of a thread state, whose thread does not run meanwhile or is this one. Not under
/// Guard.
Start start_of(PyThreadState* state, PyObject* thread);

/// Sets the error of the starter, with `failure` as its cause: what ended the thread, a reference
/// that this takes; null: nothing did.
void raise_start_failure(PyObject* failure);

/// Reports it where nobody waits for the start any more: as an error in the thread. Null: nothing.
void tell_start_failure(PyObject* thread, PyObject* failure);

}  // namespace underthread::python
