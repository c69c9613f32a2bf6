#include "os/fatal.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace underthread::os {

void fatal(const char* what, int error) noexcept {
  if (error != 0)
    std::fprintf(stderr, "underthread: %s: %s\n", what, std::strerror(error));
  else
    std::fprintf(stderr, "underthread: %s\n", what);
  std::abort();
}

}  // namespace underthread::os
