// The one place where an object of ours lets go of the GIL.
#pragma once

#include "cpython/cpython.h"
#include "lot/callback.h"

namespace underthread::python {

/// Lets other threads run while `wait` waits for what is sure to come soon. `wait` touches no
/// Python object and leaves nothing behind that a thread which does not come back would have to
/// clear: at the end of the interpreter this may not return at all.
void without_gil(lot::Callback<void()> wait);

}  // namespace underthread::python
