// What ThreadSanitizer needs to see signals in time.
#pragma once

#include <cstdint>

// g++ says it by the first name, clang++ by the second.
#ifdef __has_feature
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif

namespace underthread::os {

/// The sanitizer holds a signal's handler back until the thread's next atomic operation or libc
/// call that it knows. One that is held back just before a system call would stay so until that
/// ends: so under it no sleep lasts longer than 100 ms. True if `until` (ns of the clock `now`) was
/// shortened; its end is then no time-out, and the caller looks around and sleeps again.
inline bool shortened(std::int64_t& until, std::int64_t (*now)()) noexcept {
#ifdef __SANITIZE_THREAD__
  const std::int64_t limit = now() + 100'000'000;
  if (until <= limit) return false;
  until = limit;
  return true;
#else
  static_cast<void>(until);
  static_cast<void>(now);
  return false;
#endif
}

}  // namespace underthread::os
