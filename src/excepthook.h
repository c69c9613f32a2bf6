// What happens to an exception that nobody in its thread caught.
#pragma once

#include <underthread/ident.h>

#include <exception>
#include <string>

namespace underthread {

/// Gives it to the excepthook, with the name and the ident of the thread that it ended; from inside
/// the handler that caught it. What the hook throws is reported on stderr.
void report_exception(const std::exception_ptr& thrown, const std::string& thread_name,
                      Ident ident);

}  // namespace underthread
