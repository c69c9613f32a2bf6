// The bootstrap of a thread of `threading`: `Thread.start()` waits for an event that the new thread
// sets, and on stock CPython waits for ever where that fails before it (python/cpython#140746).
// Here such a thread sends its failure to its starter, which raises it in that wait.
#pragma once

#include <underthread/ident.h>

#include "cpython/cpython.h"

namespace underthread::python {

struct ModuleState;

/// What the starter of a Thread leaves for it. All that the thread may need is made before it
/// starts: it may fail because there is no memory.
struct Bootstrap;

/// Sets `bootstrap` where `function` is the `_bootstrap` of a Thread that has not begun; else to
/// null. @return false: a Python error is set
bool expect_bootstrap(PyObject* function, Bootstrap*& bootstrap);

/// In the new thread, before its function, which `expect_bootstrap` has taken: its name, as it is
/// now, reaches the kernel (/proc, htop, gdb) and dumps that are made without Python, each cut to
/// its length. From 3.14 on `threading` does that.
void name_this_thread(PyObject* function);

/// There is no thread after all.
void forget_bootstrap(Bootstrap* bootstrap);

/// In the new thread, when its function has ended, and with the Python error by which it did, if it
/// did; takes `bootstrap`. If the thread had not begun, the starter gets the error, and it is
/// cleared. In any case `threading` lists the thread no more. Null: does nothing.
void end_bootstrap(const ModuleState& state, Bootstrap* bootstrap, PyObject* function);

}  // namespace underthread::python
