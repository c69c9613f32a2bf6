#include "cpython/timeout.h"

#include <underthread/lot/wait.h>

#include <climits>
#include <cstring>

namespace underthread::python {
namespace {

struct Asked {
  int blocking = 1;
  PyObject* timeout = nullptr;  ///< borrowed; null: not given
};

/// Whether `name` is `text`, in a few instructions: the interpreter's own comparison with such a
/// text was a fifth of an acquire(timeout=1) and its release.
template <std::size_t size>
bool is(PyObject* name, const char (&text)[size]) {
  return PyUnicode_GET_LENGTH(name) == size - 1 && PyUnicode_IS_ASCII(name) &&
         std::memcmp(PyUnicode_1BYTE_DATA(name), text, size - 1) == 0;
}

/// Reads arguments about which there is nothing to complain. False: not such, and no error is set.
bool read_plain(PyObject* const* arguments, Py_ssize_t positional, PyObject* names, Asked& asked) {
  if (positional > 2) return false;
  PyObject* blocking = positional > 0 ? arguments[0] : nullptr;
  asked.timeout = positional > 1 ? arguments[1] : nullptr;
  const Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
  for (Py_ssize_t i = 0; i < named; ++i) {
    PyObject* const name = PyTuple_GET_ITEM(names, i);
    PyObject** value = nullptr;
    if (is(name, "timeout")) value = &asked.timeout;
    if (is(name, "blocking")) value = &blocking;
    if (!value || *value) return false;
    *value = arguments[positional + i];
  }
  if (!blocking || blocking == Py_True) return true;
  if (blocking == Py_False) {
    asked.blocking = 0;
    return true;
  }
  if (blocking_is_a_predicate || !PyLong_Check(blocking)) return false;
  int overflow = 0;
  const long number = PyLong_AsLongAndOverflow(blocking, &overflow);
  if (overflow || number > INT_MAX || number < INT_MIN) return false;
  asked.blocking = static_cast<int>(number);
  return true;
}

/// The interpreter's own parser, slow but with all its errors. What `asked` borrows is kept alive
/// by the caller's arguments.
bool read_any(PyObject* const* arguments, Py_ssize_t positional, PyObject* names, Asked& asked) {
  static const char* const keywords[] = {"blocking", "timeout", nullptr};
  PyObject* const tuple = PyTuple_New(positional);
  PyObject* const dict = PyDict_New();
  bool read = tuple && dict;
  for (Py_ssize_t i = 0; read && i < positional; ++i)
    PyTuple_SET_ITEM(tuple, i, Py_NewRef(arguments[i]));
  const Py_ssize_t named = names ? PyTuple_GET_SIZE(names) : 0;
  for (Py_ssize_t i = 0; read && i < named; ++i)
    read = PyDict_SetItem(dict, PyTuple_GET_ITEM(names, i), arguments[positional + i]) == 0;
  const char* const format = blocking_is_a_predicate ? "|pO:acquire" : "|iO:acquire";
  read = read && PyArg_ParseTupleAndKeywords(tuple, dict, format, const_cast<char**>(keywords),
                                             &asked.blocking, &asked.timeout);
  Py_XDECREF(dict);
  Py_XDECREF(tuple);
  return read;
}

}  // namespace

bool parse_acquire(PyObject* const* arguments, Py_ssize_t positional, PyObject* names,
                   std::int64_t& patience) {
  patience = lot::never;
  if (positional == 0 && !names) return true;

  Asked asked;
  if (!read_plain(arguments, positional, names, asked)) {
    asked = Asked();
    if (!read_any(arguments, positional, names, asked)) return false;
  }

  constexpr std::int64_t forever = -1'000'000'000;
  std::int64_t timeout = forever;
  if (asked.timeout && !seconds_to_nanoseconds(asked.timeout, timeout)) return false;
  if (!asked.blocking && timeout != forever) {
    PyErr_SetString(PyExc_ValueError, "can't specify a timeout for a non-blocking call");
    return false;
  }
  if (timeout < 0 && timeout != forever) {
    PyErr_SetString(PyExc_ValueError, negative_timeout);
    return false;
  }
  // PY_TIMEOUT_MAX is in microseconds.
  if (timeout > PY_TIMEOUT_MAX * 1000) {
    PyErr_SetString(PyExc_OverflowError, "timeout value is too large");
    return false;
  }
  if (!asked.blocking)
    patience = 0;
  else if (timeout != forever)
    patience = timeout;
  return true;
}

}  // namespace underthread::python
