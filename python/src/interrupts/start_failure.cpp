#include "interrupts/start_failure.h"

#include "cpython/threading_module.h"

namespace underthread::python {
namespace {

PyObject* context_of(PyObject* error) {
  PyObject* const context = PyException_GetContext(error);
  Py_XDECREF(context);
  return context;
}

/// Of all errors that `failure` came from the first: on its way out of `_bootstrap` another may
/// have taken its place. Borrowed: an error keeps what it came from. Without memory the interpreter
/// has one MemoryError for all, and the line may be a circle.
PyObject* origin_of(PyObject* failure) {
  PyObject* origin = failure;
  PyObject* slow = failure;
  for (bool even = false;; even = !even) {
    PyObject* const context = context_of(origin);
    if (!context || context == slow) return origin;
    origin = context;
    if (even) slow = context_of(slow);
  }
}

/// `threading.Thread.start.__code__`, a reference; null: there is none.
PyObject* code_of_start() {
  PyObject* const type = of_threading("Thread");
  PyObject* const start = type ? attribute_of(type, "start") : nullptr;
  PyObject* const code = start ? attribute_of(start, "__code__") : nullptr;
  Py_XDECREF(start);
  Py_XDECREF(type);
  return code;
}

bool is_frame_of(PyFrameObject* frame, PyObject* thread) {
  PyObject* const locals = PyObject_GetAttrString(reinterpret_cast<PyObject*>(frame), "f_locals");
  PyObject* const self = locals ? PyMapping_GetItemString(locals, "self") : nullptr;
  const bool is = self == thread || (!self && PyErr_ExceptionMatches(PyExc_MemoryError));
  Py_XDECREF(self);
  Py_XDECREF(locals);
  PyErr_Clear();
  return is;
}

bool is_same_file(PyObject* left, PyObject* right) {
  return left == right || PyUnicode_Compare(left, right) == 0;
}

}  // namespace

Start start_of(PyThreadState* state, PyObject* thread) {
  PyObject* const start = code_of_start();
  if (!start || !PyCode_Check(start)) {
    const bool has_no_memory = PyErr_Occurred() && PyErr_ExceptionMatches(PyExc_MemoryError);
    PyErr_Clear();
    Py_XDECREF(start);
    return has_no_memory ? Start::waited_for : Start::left;
  }
  PyObject* const file = reinterpret_cast<PyCodeObject*>(start)->co_filename;
  Start found = Start::left;
  bool is_in_threading = true;
  PyFrameObject* frame = PyThreadState_GetFrame(state);
  while (frame && found == Start::left) {
    PyCodeObject* const code = PyFrame_GetCode(frame);
    if (reinterpret_cast<PyObject*>(code) == start && is_frame_of(frame, thread))
      found = is_in_threading ? Start::waited_for : Start::on_stack;
    is_in_threading = is_in_threading && is_same_file(code->co_filename, file);
    Py_DECREF(code);
    PyFrameObject* const back = PyFrame_GetBack(frame);
    Py_DECREF(frame);
    frame = back;
  }
  Py_XDECREF(frame);
  Py_DECREF(start);
  return found;
}

void tell_start_failure(PyObject* thread, PyObject* failure) {
  if (!failure) return;
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(failure)), failure);
  PyObject* const function = attribute_of(thread, "_bootstrap");
  write_unraisable_of_thread(function ? function : thread);
  Py_XDECREF(function);
}

void raise_start_failure(PyObject* failure) {
  if (!failure) {
    PyErr_SetString(PyExc_RuntimeError, "can't start new thread: it ended before it had begun");
    return;
  }
  PyObject* const origin = origin_of(failure);
  PyObject* const text = PyObject_Str(origin);
  if (text)
    PyErr_Format(PyExc_RuntimeError, "can't start new thread: %s%s%U", Py_TYPE(origin)->tp_name,
                 PyUnicode_GET_LENGTH(text) > 0 ? ": " : "", text);
  Py_XDECREF(text);
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  PyErr_NormalizeException(&type, &error, &traceback);
  if (error && PyExceptionInstance_Check(error)) PyException_SetCause(error, Py_NewRef(failure));
  Py_DECREF(failure);
  PyErr_Restore(type, error, traceback);
}

}  // namespace underthread::python
