// CPython 3.12 starts no threads once its end has begun, and says so nowhere but in a structure of
// its own. 3.13 has Py_IsFinalizing() for it, and 3.11 does not refuse.
#define Py_BUILD_CORE_MODULE 1
#include <Python.h>

#if PY_VERSION_HEX >= 0x030C0000 && PY_VERSION_HEX < 0x030D0000
// Its atomics are C's, which C++ does not read; it has others of the same size.
#undef HAVE_STD_ATOMIC
#include <internal/pycore_interp.h>

extern "C" int underthread_interpreter_is_finalizing() {
  return PyInterpreterState_Get()->finalizing != 0;
}
#endif
