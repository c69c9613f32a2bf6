// What ends a process, and why a thread could not start, as the machine has them.
#include "os/fatal.h"
#include "os/thread_limits.h"

#include "engine/machine.h"

namespace underthread::os {

void fatal(const char* what, int) noexcept {
  explore::machine.fail(what);
}

std::string why_no_thread(int, std::size_t, const std::string&) {
  return "refused";
}

}  // namespace underthread::os
