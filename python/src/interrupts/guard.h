// Guards all state of this room: mailboxes, what is in them, limits, and the list that the
// timekeeper goes by. One for the process, since the timekeeper is one for all interpreters.
//
// Under it nothing lets go of the GIL, allocates Python objects or calls code that somebody could
// have written in Python. It may be taken with the GIL or without, and is never held while one
// waits for the GIL.
#pragma once

#include "cpython/cpython.h"

namespace underthread::python {

class Guard {
 public:
  Guard();
  ~Guard();
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
};

/// In the child of a fork: whoever held it is not there. Async-signal-safe.
void forget_guard();

}  // namespace underthread::python
