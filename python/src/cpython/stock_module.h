// Where the interpreter's own `_thread` comes from.
#pragma once

#include "cpython/cpython.h"

namespace underthread::python {

/// The init function of the interpreter's own, where ours stands in its table of builtin modules:
/// set by launcher/main.cpp before Python starts. Null in the extension: there its own module is
/// imported.
using InitFunction = PyObject* (*)();
extern InitFunction stock_init;

/// The interpreter's own `_thread`, as a new reference; null: a Python error is set.
///
/// `ours` is the module that is about to be filled. In the launcher that happens while Python's
/// import system is itself being set up: only builtin modules can be imported then.
PyObject* import_stock(PyObject* ours);

}  // namespace underthread::python
