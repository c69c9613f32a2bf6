// Sleeping, interruptibly. Both are safe points, before and throughout; if the handlers return, the
// rest of the time is slept (PEP 475).
#pragma once

#include <underthread/deadline.h>

#include <chrono>
#include <cstdint>

namespace underthread {

/// Sleeps until the deadline.
void sleep_until_deadline(std::int64_t deadline);

/// Zero and less: only a safe point.
template <class Rep, class Period>
void sleep_for(const std::chrono::duration<Rep, Period>& duration) {
  sleep_until_deadline(deadline_after(duration));
}

template <class Clock, class Duration>
void sleep_until(const std::chrono::time_point<Clock, Duration>& when) {
  attempt_until(when, [](std::int64_t deadline) {
    sleep_until_deadline(deadline);
    return false;
  });
}

}  // namespace underthread
