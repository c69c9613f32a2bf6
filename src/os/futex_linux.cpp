#include "os/futex.h"

#include <cerrno>
#include <climits>
#include <ctime>
#include <utility>

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/fatal.h"
#include "os/processor.h"
#include "os/thread_sanitizer.h"

namespace underthread::os {
namespace {

constexpr std::int64_t second = 1'000'000'000;

static_assert(sizeof(std::atomic<std::uint32_t>) == 4 &&
              std::atomic<std::uint32_t>::is_always_lock_free);

}  // namespace

FutexEnd futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                    std::int64_t until) noexcept {
  // FUTEX_WAIT_BITSET takes an absolute time of the monotonic clock; FUTEX_WAIT would take the time
  // left, which a signal makes stale.
  const bool cut = shortened(until, [] { return now(); });
  timespec when{};
  const timespec* limit = nullptr;
  if (until != INT64_MAX) {
    const std::int64_t moment = until > 0 ? until : 0;
    when.tv_sec = static_cast<time_t>(moment / second);
    when.tv_nsec = static_cast<long>(moment % second);
    limit = &when;
  }
  const int saved = errno;
  if (syscall(SYS_futex, &word, FUTEX_WAIT_BITSET_PRIVATE, expected, limit, nullptr,
              FUTEX_BITSET_MATCH_ANY) == 0)
    return FutexEnd::woken;
  // A wait that ends has not failed: the caller's errno is as it was.
  const int reason = std::exchange(errno, saved);
  switch (reason) {
    case EAGAIN:
      return FutexEnd::woken;
    case ETIMEDOUT:
      return cut ? FutexEnd::woken : FutexEnd::timed_out;
    case EINTR:
      return FutexEnd::signalled;
    default:
      fatal("futex wait", reason);
  }
}

void futex_wake_one(std::atomic<std::uint32_t>& word) noexcept {
  const int saved = errno;
  // EFAULT is no fault: the word's memory may be gone, and so then is who slept there.
  if (syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0) < 0 && errno != EFAULT)
    fatal("futex wake", errno);
  errno = saved;
}

void futex_after_fork_in_child() noexcept {}

std::int64_t now() noexcept {
  timespec time;
  if (clock_gettime(CLOCK_MONOTONIC, &time) != 0) fatal("clock_gettime", errno);
  return static_cast<std::int64_t>(time.tv_sec) * second + time.tv_nsec;
}

void relax() noexcept {
  relax_processor();
}

const std::uint32_t spin_limit = 40;
const std::uint32_t spin_most = 1024;

}  // namespace underthread::os
