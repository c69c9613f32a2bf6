// For each line on stdin one trial, and a line of ns: so that others may measure it between theirs.
#include "floor.h"

#include <cstdio>

int main() {
  bench::Floor floor;
  for (int character = std::getchar(); character != EOF; character = std::getchar()) {
    if (character != '\n') continue;
    std::printf("%lld\n", static_cast<long long>(floor.measure()));
    std::fflush(stdout);
  }
}
