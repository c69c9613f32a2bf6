// Puts objects in the place of others, wherever modules hold them.
#pragma once

#include "cpython/cpython.h"

namespace underthread::python {

/// `_underthread.replace_references(dictionaries, pairs)`: each value of a dictionary that is the
/// first of a pair, itself and not an equal, becomes the second. Of two pairs with one first, the
/// earlier is meant. Two lists, of dicts and of tuples.
///
/// It is the package's, for all modules at once: that is a few thousand values at the start of each
/// process, and in Python most of what that takes.
PyObject* replace_references(PyObject* module, PyObject* arguments);

}  // namespace underthread::python
