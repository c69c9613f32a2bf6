// underthread-python: the interpreter, with our `_thread` in its table of builtin modules in the
// place of its own. So it is there before anything else is imported, whatever the command line says
// (-S, -I, -E).
#include <Python.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "cpython/stock_module.h"

// Not by the name PyInit__thread: a program's symbols go before those of libpython, whose own
// `_thread` would then be ours too. CMakeLists.txt renames it.
extern "C" PyObject* underthread_python_init();

namespace {

constexpr std::array<std::string_view, 4> off = {"0", "off", "no", "false"};
constexpr std::array<std::string_view, 5> on = {"", "1", "on", "yes", "true"};

/// The same word, but for blanks around it and upper case.
bool is_word(std::string_view value, std::string_view word) {
  constexpr std::string_view blanks = " \t\n\v\f\r";
  const std::size_t first = std::min(value.find_first_not_of(blanks), value.size());
  value = value.substr(first, value.find_last_not_of(blanks) + 1 - first);
  return std::equal(value.begin(), value.end(), word.begin(), word.end(),
                    [](char of_value, char of_word) {
                      const bool is_upper = of_value >= 'A' && of_value <= 'Z';
                      return (is_upper ? of_value - 'A' + 'a' : of_value) == of_word;
                    });
}

/// UNDERTHREAD in the environment, by the rule of underthread/_install.py.
bool is_switched_off() {
  const char* const value = std::getenv("UNDERTHREAD");
  if (!value) return false;
  const auto is_value = [value](std::string_view word) { return is_word(value, word); };
  if (std::any_of(off.begin(), off.end(), is_value)) return true;
  if (!std::any_of(on.begin(), on.end(), is_value))
    std::fprintf(stderr,
                 "underthread: UNDERTHREAD='%s' is neither off (0, off, no, false) nor on "
                 "(1, on, yes, true or empty); underthread stays on\n",
                 value);
  return false;
}

}  // namespace

int main(int argc, char** argv) {
  using underthread::python::stock_init;
  if (is_switched_off()) return Py_BytesMain(argc, argv);
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
