// What ThreadSanitizer needs to see signals in time, and what a program that is built with it needs
// to be told of a library that was not.
#pragma once

#include <cstdint>

// g++ says it by the first name, clang++ by the second.
#ifdef __has_feature
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif

// The sanitizer's own, where it is in the process; else null.
extern "C" {
void __tsan_acquire(void* address) __attribute__((weak));
void __tsan_release(void* address) __attribute__((weak));
}

namespace underthread::os {

inline bool is_under_thread_sanitizer() noexcept {
  return __tsan_acquire != nullptr;
}

/// What this thread has done so far happens before what another does after `note_after` of the same
/// address. Says so to the sanitizer, and changes nothing. (The public headers have their own, for
/// code that is compiled into the program.)
inline void note_before(const void* address) noexcept {
  if (__tsan_release) __tsan_release(const_cast<void*>(address));
}
inline void note_after(const void* address) noexcept {
  if (__tsan_acquire) __tsan_acquire(const_cast<void*>(address));
}

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
