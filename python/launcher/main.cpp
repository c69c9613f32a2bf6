// underthread-python: the interpreter, with our `_thread` in its table of builtin modules in the
// place of its own. So it is there before anything else is imported, whatever the command line says
// (-S, -I, -E).
#include <Python.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "cpython/stock_module.h"

// Not by the name PyInit__thread: a program's symbols go before those of libpython, whose own
// `_thread` would then be ours too. CMakeLists.txt renames it.
extern "C" PyObject* underthread_python_init();

int main(int argc, char** argv) {
  using underthread::python::stock_init;
  // As everywhere: this process is to stay on the interpreter's own.
  const char* const wanted = std::getenv("UNDERTHREAD");
  if (wanted && std::strcmp(wanted, "0") == 0) return Py_BytesMain(argc, argv);
  for (_inittab* entry = PyImport_Inittab; entry->name; ++entry) {
    if (std::strcmp(entry->name, "_thread") != 0) continue;
    stock_init = entry->initfunc;
    entry->initfunc = underthread_python_init;
  }
  if (!stock_init) {
    std::fputs("underthread-python: this interpreter has no _thread of its own\n", stderr);
    return 1;
  }
  return Py_BytesMain(argc, argv);
}
