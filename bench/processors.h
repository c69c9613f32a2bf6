// Which processor a measured thread runs on: where that decides what is measured, it is said and
// not left to the scheduler.
#pragma once

#include <cstdlib>

#include <sched.h>

namespace bench {

/// Those that the process could use when it first asked.
inline const cpu_set_t& allowed() {
  static const cpu_set_t set = [] {
    cpu_set_t found;
    if (sched_getaffinity(0, sizeof(found), &found) != 0) std::abort();
    return found;
  }();
  return set;
}

inline int processors() {
  return CPU_COUNT(&allowed());
}

/// The calling thread, to the processor of that number, from 0; where there are fewer, from 0 again.
inline void run_on(int number) {
  number %= processors();
  for (int processor = 0; processor < CPU_SETSIZE; ++processor)
    if (CPU_ISSET(processor, &allowed()) && number-- == 0) {
      cpu_set_t one;
      CPU_ZERO(&one);
      CPU_SET(processor, &one);
      sched_setaffinity(0, sizeof(one), &one);
      return;
    }
}

}  // namespace bench
