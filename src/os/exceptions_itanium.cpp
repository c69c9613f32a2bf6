// For the C++ runtime of every system but Windows.
#include "os/exceptions.h"

#include <cstdlib>
#include <memory>
#include <typeinfo>

#include <cxxabi.h>

namespace underthread::os {

// no_sanitize: the runtime gives the reference to a forced unwind no object, as its ABI allows.
// As __attribute__, which GCC and Clang both take; [[gnu::no_sanitize]] is GCC's alone.
__attribute__((no_sanitize("null"))) void run_contained(void (*body)(void*), void (*caught)(void*),
                                                        void* argument) {
  try {
    body(argument);
#ifdef __GLIBCXX__
  } catch (const abi::__forced_unwind&) {
    throw;
#endif
  } catch (...) {
    caught(argument);
  }
}

std::string current_exception_type() {
  const std::type_info* type = abi::__cxa_current_exception_type();
  if (type == nullptr) return "unknown exception";
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type->name(), nullptr, nullptr, &status), std::free);
  return name ? name.get() : type->name();
}

}  // namespace underthread::os
