// A thread that is watched until it sleeps, by what the kernel says of it: to be sure that what is
// timed next has somebody to wake.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

namespace bench {

class Sleeper {
 public:
  /// @param native_id  the kernel's id of a thread of this process
  explicit Sleeper(std::uint64_t native_id)
      : stat_(open(("/proc/self/task/" + std::to_string(native_id) + "/stat").c_str(),
                   O_RDONLY | O_CLOEXEC)) {
    if (stat_ == -1) std::abort();
  }
  ~Sleeper() { close(stat_); }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  /// Returns when it sleeps.
  void await() const {
    char text[128];
    for (;;) {
      const ssize_t size = pread(stat_, text, sizeof(text) - 1, 0);
      if (size <= 0) std::abort();
      text[size] = '\0';
      // The name before it, in brackets, may have any character.
      const char* const bracket = std::strrchr(text, ')');
      if (bracket && bracket[1] == ' ' && bracket[2] == 'S') return;
      sched_yield();
    }
  }

 private:
  int stat_;
};

}  // namespace bench
