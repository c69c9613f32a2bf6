#include "module/replace_references.h"

#include <algorithm>
#include <cstddef>
#include <functional>

namespace underthread::python {
namespace {

// Borrowed: the caller's list has them.
struct Pair {
  PyObject* before;
  PyObject* after;
};

/// Pairs in the order of the addresses of what they replace.
class Pairs {
 public:
  /// @return false: a Python error is set
  bool read(PyObject* list) {
    first_ = end_ = PyMem_New(Pair, static_cast<std::size_t>(PyList_GET_SIZE(list)) + 1);
    if (!first_) {
      PyErr_NoMemory();
      return false;
    }
    for (Py_ssize_t number = 0; number < PyList_GET_SIZE(list); ++number) {
      PyObject* const item = PyList_GET_ITEM(list, number);
      if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
        PyErr_SetString(PyExc_TypeError, "replace_references() takes pairs");
        return false;
      }
      const Pair pair = {PyTuple_GET_ITEM(item, 0), PyTuple_GET_ITEM(item, 1)};
      Pair* const place = find_place(pair.before);
      if (place != end_ && place->before == pair.before) continue;
      std::move_backward(place, end_, end_ + 1);
      ++end_;
      *place = pair;
    }
    return true;
  }

  /// Borrowed; null: it stays.
  PyObject* after(PyObject* before) const {
    const Pair* const place = find_place(before);
    return place != end_ && place->before == before ? place->after : nullptr;
  }

  void free() { PyMem_Free(first_); }

 private:
  Pair* find_place(PyObject* before) const {
    return std::lower_bound(first_, end_, before, [](const Pair& pair, PyObject* object) {
      return std::less<>()(pair.before, object);
    });
  }

  Pair* first_ = nullptr;
  Pair* end_ = nullptr;
};

/// The keys of those values that are to be replaced, and what is to stand for each; null and no
/// error: there are none, as in most.
PyObject* find(const Pairs& pairs, PyObject* dictionary) {
  PyObject* found = nullptr;
  bool well = true;
  Py_BEGIN_CRITICAL_SECTION(dictionary);
  PyObject *key, *value;
  Py_ssize_t position = 0;
  while (well && PyDict_Next(dictionary, &position, &key, &value)) {
    PyObject* const after = pairs.after(value);
    if (!after) continue;
    if (!found) found = PyDict_New();
    well = found && PyDict_SetItem(found, key, after) == 0;
  }
  Py_END_CRITICAL_SECTION();
  if (!well) Py_CLEAR(found);
  return found;
}

bool replace_in(const Pairs& pairs, PyObject* dictionary) {
  PyObject* const found = find(pairs, dictionary);
  const bool well = found ? PyDict_Update(dictionary, found) == 0 : !PyErr_Occurred();
  Py_XDECREF(found);
  return well;
}

}  // namespace

PyObject* replace_references(PyObject*, PyObject* arguments) {
  PyObject *dictionaries, *list;
  if (!PyArg_ParseTuple(arguments, "O!O!:replace_references", &PyList_Type, &dictionaries,
                        &PyList_Type, &list))
    return nullptr;
  Pairs pairs;
  bool well = pairs.read(list);
  for (Py_ssize_t number = 0; well && number < PyList_GET_SIZE(dictionaries); ++number) {
    PyObject* const dictionary = PyList_GET_ITEM(dictionaries, number);
    well = PyDict_Check(dictionary) && replace_in(pairs, dictionary);
    if (!well && !PyErr_Occurred())
      PyErr_SetString(PyExc_TypeError, "replace_references() looks into dicts");
  }
  pairs.free();
  return well ? Py_NewRef(Py_None) : nullptr;
}

}  // namespace underthread::python
