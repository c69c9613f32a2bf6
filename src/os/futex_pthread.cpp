// The futex for systems that have none: a table of sleepers, each on a POSIX semaphore.
//
// Semaphores, not pthread conditions: sem_post is async-signal-safe and a signal handler ends
// sem_wait, both by POSIX; a condition offers neither, and has lost wake-ups (field notes, glibc
// 25847). The table is guarded by spinning with all signals blocked: no handler can run in the
// thread that holds it, so a handler that wakes another thread never waits for the thread it
// interrupted.
#include "os/futex.h"

#include <cerrno>
#include <climits>
#include <csignal>
#include <cstddef>
#include <ctime>

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include "os/fatal.h"
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
  // acquire to take it, release to leave it: the list below is seen whole.
  std::atomic<bool> taken{false};
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
    while (row_.taken.exchange(true, std::memory_order_acquire)) sched_yield();
  }
  ~Hold() {
    row_.taken.store(false, std::memory_order_release);
    pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;

 private:
  Row& row_;
  sigset_t mask_;
};

void unlist(Row& row, Sleeper& sleeper) {
  Sleeper* before = nullptr;
  for (Sleeper* at = row.first; at != &sleeper; at = at->next) before = at;
  (before ? before->next : row.first) = sleeper.next;
  if (row.last == &sleeper) row.last = before;
  sleeper.listed = false;
}

int wait_until(sem_t& semaphore, std::int64_t until) {
  if (until == INT64_MAX) return sem_wait(&semaphore) == 0 ? 0 : errno;
  const std::int64_t moment = until > 0 ? until : 0;
  timespec when{};
  when.tv_sec = static_cast<time_t>(moment / second);
  when.tv_nsec = static_cast<long>(moment % second);
  return sem_clockwait(&semaphore, CLOCK_MONOTONIC, &when) == 0 ? 0 : errno;
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
  bool chosen;
  {
    // Whoever chose us posted with the row held, so once we have had the row the semaphore is ours.
    Hold hold(row);
    chosen = !sleeper.listed;
    if (!chosen) unlist(row, sleeper);
  }
  sem_destroy(&sleeper.woken);
  if (chosen || ended == 0) return FutexEnd::woken;
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
      if (sem_post(&at->woken) != 0) fatal("sem_post", errno);
    }
  }
  errno = saved;
}

void futex_after_fork_in_child() noexcept {
  for (Row& row : rows) {
    row.taken.store(false, std::memory_order_relaxed);
    row.first = row.last = nullptr;
  }
}

std::int64_t now() noexcept {
  timespec time;
  if (clock_gettime(CLOCK_MONOTONIC, &time) != 0) fatal("clock_gettime", errno);
  return static_cast<std::int64_t>(time.tv_sec) * second + time.tv_nsec;
}

void relax() noexcept {
  sched_yield();
}

const std::uint32_t spin_limit = 10;
const std::uint32_t spin_most = 10;

}  // namespace underthread::os
