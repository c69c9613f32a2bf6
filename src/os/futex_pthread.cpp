// The futex for systems that have none: a table of sleepers, each on a POSIX semaphore.
//
// Semaphores, not pthread conditions: sem_post is async-signal-safe and a signal handler ends
// sem_wait, both by POSIX; a condition offers neither, and has lost wake-ups (field notes, glibc
// 25847). The table is guarded by mutexes, taken with all signals blocked: no handler can run in
// the thread that holds one, so a handler that wakes another thread never waits for the thread it
// interrupted, and what the mutex does is not interrupted either. Whoever waits for one sleeps: a
// thread of a higher priority lets the holder run.
#include "os/futex.h"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <ctime>
#include <utility>

#include <pthread.h>
#include <semaphore.h>

#include "os/cancellation.h"
#include "os/fatal.h"
#include "os/processor.h"
#include "os/thread_sanitizer.h"

namespace underthread::os {
namespace {

constexpr std::int64_t second = 1'000'000'000;

struct Sleeper {
  const void* word;
  sem_t woken;
  Sleeper* next = nullptr;
  bool listed = true;
};

struct Row {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;  // guards the rest
  Sleeper* first = nullptr;
  Sleeper* last = nullptr;
};

constexpr std::size_t row_count = 64;
constinit Row rows[row_count];

Row& row_of(const void* word) {
  return rows[(reinterpret_cast<std::uintptr_t>(word) * 0x9E3779B97F4A7C15u) >> 58];
}

class Hold {
 public:
  explicit Hold(Row& row) noexcept : row_(row) {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &mask_);
    if (const int error = pthread_mutex_lock(&row_.mutex); error != 0)
      fatal("pthread_mutex_lock", error);
  }
  ~Hold() {
    let_go();
    pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }
  /// Of the row alone; signals stay blocked.
  void let_go() noexcept {
    if (std::exchange(has_row_, false)) pthread_mutex_unlock(&row_.mutex);
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  Row& row_;
  bool has_row_ = true;
  sigset_t mask_;
};

void unlist(Row& row, Sleeper& sleeper) {
  Sleeper* before = nullptr;
  for (Sleeper* at = row.first; at != &sleeper; at = at->next) before = at;
  (before ? before->next : row.first) = sleeper.next;
  if (row.last == &sleeper) row.last = before;
  sleeper.listed = false;
}

/// 0 or an errno value; errno itself is as it was.
int wait_until(sem_t& semaphore, std::int64_t until) {
  const int saved = errno;
  const NoCancellation whole;
  const auto ended = [saved](int result) { return result == 0 ? 0 : std::exchange(errno, saved); };
  if (until == INT64_MAX) return ended(sem_wait(&semaphore));
  const std::int64_t moment = until > 0 ? until : 0;
  timespec when{};
  when.tv_sec = static_cast<time_t>(moment / second);
  when.tv_nsec = static_cast<long>(moment % second);
  return ended(sem_clockwait(&semaphore, CLOCK_MONOTONIC, &when));
}

}  // namespace

FutexEnd futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                    std::int64_t until) noexcept {
  const bool cut = shortened(until, [] { return now(); });
  Row& row = row_of(&word);
  Sleeper sleeper{&word, {}};
  if (sem_init(&sleeper.woken, 0, 0) != 0) fatal("sem_init", errno);
  {
    Hold hold(row);
    // relaxed: a wake for a later value takes this row after us and finds us listed; an earlier one
    // left the row before we took it, and that makes its value visible here.
    if (word.load(std::memory_order_relaxed) != expected) {
      sem_destroy(&sleeper.woken);
      return FutexEnd::woken;
    }
    (row.last ? row.last->next : row.first) = &sleeper;
    row.last = &sleeper;
  }
  const int ended = wait_until(sleeper.woken, until);
  bool chosen = ended == 0;
  if (!chosen) {
    {
      Hold hold(row);
      chosen = !sleeper.listed;
      if (!chosen) unlist(row, sleeper);
    }
    // Whoever chose us is about to post, and is done with the semaphore when that has been waited
    // for (POSIX).
    if (chosen)
      while (wait_until(sleeper.woken, INT64_MAX) == EINTR) {
      }
  }
  note_after(&sleeper);
  sem_destroy(&sleeper.woken);
  if (chosen) return FutexEnd::woken;
  if (ended == ETIMEDOUT) return cut ? FutexEnd::woken : FutexEnd::timed_out;
  if (ended == EINTR) return FutexEnd::signalled;
  fatal("sem_wait", ended);
}

void futex_wake_one(std::atomic<std::uint32_t>& word) noexcept {
  const int saved = errno;
  Row& row = row_of(&word);
  {
    Hold hold(row);
    Sleeper* at = row.first;
    while (at && at->word != &word) at = at->next;
    if (at) {
      unlist(row, *at);
      // Outside of the row, which who is woken may want at once.
      hold.let_go();
      // The sanitizer does not know sem_clockwait.
      note_before(at);
      if (sem_post(&at->woken) != 0) fatal("sem_post", errno);
    }
  }
  errno = saved;
}

void futex_after_fork_in_child() noexcept {
  for (Row& row : rows) {
    row = {};
  }
}

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
