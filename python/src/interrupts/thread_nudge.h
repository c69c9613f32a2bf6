// Threads other than the main one in system calls: from 3.15 on the interpreter, when such a call
// has ended with EINTR, raises what it has been told to raise in that thread. So the thread is
// nudged (os/nudge.h) until that has happened. Before, it asks in the main thread only, and a nudge
// would be in vain.
#pragma once

#include <underthread/ident.h>

#include "cpython/cpython.h"
#include "lot/thread_record.h"

namespace underthread::python {

struct Interrupts;

/// After the interpreter has been told of an exception for that thread, which is not the main one.
/// With the GIL, and no lock. Without memory or timers: nothing, or one nudge. `thread` is the
/// record of the thread of that ident.
void nudge_thread(Interrupts& all, Ident ident, lot::ThreadRecord& thread);

/// In the thread itself, where what it was nudged for is raised, held off or not to be raised any
/// more, and at its end. It is nudged on if the interpreter has been told of another.
void settle_thread_nudge();

/// Whether any thread is nudged. lot::settings is held.
bool threads_are_nudged();
/// In the child of a fork: none is. Async-signal-safe.
void forget_nudged_threads();

}  // namespace underthread::python
