// What checkers of the compiler's are told of our locks: clang's -Wthread-safety which function
// takes and releases them, ThreadSanitizer that what happened before a release has happened before
// the next acquire.
//
// The second is needed where a program is built with -fsanitize=thread and the library was not: it
// sees what inline code does to a lock's word, and not what the library does.
#pragma once

#if defined(__clang__)
#define UNDERTHREAD_ANNOTATION(x) __attribute__((x))
#else
#define UNDERTHREAD_ANNOTATION(x)
#endif

#define UNDERTHREAD_CAPABILITY(name) UNDERTHREAD_ANNOTATION(capability(name))
#define UNDERTHREAD_SCOPED_CAPABILITY UNDERTHREAD_ANNOTATION(scoped_lockable)
#define UNDERTHREAD_ACQUIRE(...) UNDERTHREAD_ANNOTATION(acquire_capability(__VA_ARGS__))
#define UNDERTHREAD_TRY_ACQUIRE(...) UNDERTHREAD_ANNOTATION(try_acquire_capability(__VA_ARGS__))
#define UNDERTHREAD_RELEASE(...) UNDERTHREAD_ANNOTATION(release_capability(__VA_ARGS__))
/// The body does what the declaration says, in ways that the analysis does not follow.
#define UNDERTHREAD_NOT_ANALYSED UNDERTHREAD_ANNOTATION(no_thread_safety_analysis)

// g++ says it by the first name, clang++ by the second.
#if defined(__SANITIZE_THREAD__)
#define UNDERTHREAD_IS_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDERTHREAD_IS_UNDER_TSAN 1
#endif
#endif

#ifdef UNDERTHREAD_IS_UNDER_TSAN
extern "C" {
void __tsan_acquire(void* address);
void __tsan_release(void* address);
}
#endif

namespace underthread {

/// What this thread has done so far happens before what another does after `happens_after` of the
/// same address. For ThreadSanitizer alone.
inline void happens_before([[maybe_unused]] const void* address) noexcept {
#ifdef UNDERTHREAD_IS_UNDER_TSAN
  __tsan_release(const_cast<void*>(address));
#endif
}
inline void happens_after([[maybe_unused]] const void* address) noexcept {
#ifdef UNDERTHREAD_IS_UNDER_TSAN
  __tsan_acquire(const_cast<void*>(address));
#endif
}

}  // namespace underthread
