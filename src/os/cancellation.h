// What the system's calls do where somebody has cancelled their thread.
#pragma once

#include <pthread.h>

namespace underthread::os {

/// While it exists, calls of this thread that are cancellation points are none. For those within a
/// noexcept frame, which a cancellation would unwind, and end the process by that.
class NoCancellation {
 public:
  NoCancellation() noexcept { pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before_); }
  ~NoCancellation() { pthread_setcancelstate(before_, nullptr); }
  NoCancellation(const NoCancellation&) = delete;
  NoCancellation& operator=(const NoCancellation&) = delete;

 private:
  int before_ = PTHREAD_CANCEL_ENABLE;
};

}  // namespace underthread::os
