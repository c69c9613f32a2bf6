// What the C++ runtime knows of exceptions beyond the language.
#pragma once

#include <string>

namespace underthread::os {

/// Runs `body(argument)`; an exception that leaves it is caught and `caught(argument)` called,
/// where `throw;` gives it again. The system's own unwinding (pthread_exit, pthread_cancel) is
/// passed through: it must reach the end of the stack, or the process dies.
void run_contained(void (*body)(void*), void (*caught)(void*), void* argument);

/// The type of the exception being handled, readable: "std::out_of_range".
std::string current_exception_type();

}  // namespace underthread::os
