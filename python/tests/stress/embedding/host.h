// What every program here does with the interpreter that it hosts.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdio.h>
#include <stdlib.h>

/// Ends the program where something that the test relies on does not hold.
static inline void require(int condition, const char* what) {
  if (condition) return;
  fprintf(stderr, "the host: not true: %s\n", what);
  exit(1);
}

/// A module of the host's own, which needs no GIL.
static inline PyObject* declared(PyObject* module) {
#ifdef Py_GIL_DISABLED
  require(module && PyUnstable_Module_SetGIL(module, Py_MOD_GIL_NOT_USED) == 0, "a module is made");
#endif
  return module;
}

/// Runs a program's text in `__main__`. An error is printed and ends the program.
static inline void run(const char* text) {
  require(PyRun_SimpleString(text) == 0, "the Python code ran to its end");
}

/// What Python has printed goes before what the host prints: the tests have Python's output
/// unbuffered.
static inline void say(const char* text) {
  puts(text);
  fflush(stdout);
}

static inline void finalize(void) {
  require(Py_FinalizeEx() == 0, "Py_FinalizeEx returned 0");
}
