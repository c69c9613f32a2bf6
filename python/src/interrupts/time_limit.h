// `underthread.time_limit(seconds)`: a block that is interrupted by a TimeoutError when its time is
// up, in any thread, as by `interrupt`.
//
// Who looks when that is: a wait of ours sleeps no longer; else the alarm of the main thread
// (main_thread.h), or the timekeeper (timekeeper.h); in a task of asyncio, while it is suspended,
// its loop. Where none of them could raise in the block, its end does.
#pragma once

#include "cpython/cpython.h"

namespace underthread::python {

/// The type; null: a Python error is set.
PyTypeObject* make_time_limit_type(PyObject* module);

}  // namespace underthread::python
