#include "os/nudge.h"

#include <cerrno>
#include <csignal>
#include <iterator>

#include <sys/syscall.h>
#include <unistd.h>

namespace underthread::os {
namespace {

constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t pauses[] = {1 * ms, 5 * ms, 20 * ms, 100 * ms};

// Written before the handler that reads it is installed.
constinit std::atomic<void (*)()> nudged_function{nullptr};
// The last that was claimed; 0: none. Relaxed: a hint, which sigaction confirms.
constinit std::atomic<int> claimed{0};

void on_nudge(int) {
  const int saved = errno;
  // acquire: pairs with the release in `claim`.
  nudged_function.load(std::memory_order_acquire)();
  errno = saved;
}

bool is_ours(int signum) noexcept {
  struct sigaction action = {};
  return sigaction(signum, nullptr, &action) == 0 && (action.sa_flags & SA_SIGINFO) == 0 &&
         action.sa_handler == on_nudge;
}

// Takes it if the program does nothing about it. Where two threads do so at once, both have the
// same handler.
bool take(int signum) noexcept {
  struct sigaction action = {};
  if (sigaction(signum, nullptr, &action) != 0) return false;
  if ((action.sa_flags & SA_SIGINFO) != 0 || action.sa_handler != SIG_DFL) return is_ours(signum);
  action = {};
  action.sa_handler = on_nudge;
  action.sa_flags = SA_ONSTACK;  // and no SA_RESTART, which is the point
  sigemptyset(&action.sa_mask);
  return sigaction(signum, &action, nullptr) == 0;
}

}  // namespace

int Nudge::claim(int number, void (*nudged)()) noexcept {
  nudged_function.store(nudged, std::memory_order_release);
  int signum = claimed.load(std::memory_order_relaxed);
  if (signum != 0 && (number == 0 || number == signum) && is_ours(signum)) return signum;
  if (number != 0) {
    signum = take(number) ? number : 0;
  } else {
    signum = take(SIGURG) ? SIGURG : 0;
    for (int other = SIGRTMAX - 1; signum == 0 && other > SIGRTMIN; --other)
      if (take(other)) signum = other;
  }
  claimed.store(signum, std::memory_order_relaxed);
  return signum;
}

bool Nudge::aim(std::uint64_t native_id, int signum) noexcept {
  const bool same = native_id_.load(std::memory_order_relaxed) == native_id &&
                    signum_.load(std::memory_order_relaxed) == signum;
  if (same && has_timer_.load(std::memory_order_relaxed)) return true;
  if (has_timer_.exchange(false, std::memory_order_relaxed))
    timer_delete(timer_.load(std::memory_order_relaxed));
  native_id_.store(native_id, std::memory_order_relaxed);
  signum_.store(signum, std::memory_order_relaxed);
  struct sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signum;
  event._sigev_un._tid = static_cast<pid_t>(native_id);
  timer_t timer = {};
  if (timer_create(CLOCK_MONOTONIC, &event, &timer) != 0) return false;
  timer_.store(timer, std::memory_order_relaxed);
  has_timer_.store(true, std::memory_order_relaxed);
  return true;
}

void Nudge::forget() noexcept {
  has_timer_.store(false, std::memory_order_relaxed);
  native_id_.store(0, std::memory_order_relaxed);
}

void Nudge::set_timer(std::int64_t ns) noexcept {
  if (!has_timer_.load(std::memory_order_relaxed)) return;
  struct itimerspec when = {};
  when.it_value.tv_nsec = ns;
  // Where a signal was taken and its handler did not run, there is another.
  if (ns != 0) when.it_interval.tv_nsec = pauses[std::size(pauses) - 1];
  timer_settime(timer_.load(std::memory_order_relaxed), 0, &when, nullptr);
}

void Nudge::begin() noexcept {
  begin_later();
  syscall(SYS_tgkill, getpid(), static_cast<pid_t>(native_id_.load(std::memory_order_relaxed)),
          signum_.load(std::memory_order_relaxed));
}

void Nudge::begin_later() noexcept {
  pauses_.store(0, std::memory_order_relaxed);
  again();
}

void Nudge::again() noexcept {
  const std::uint32_t pause = pauses_.fetch_add(1, std::memory_order_relaxed);
  set_timer(pauses[pause < std::size(pauses) ? pause : std::size(pauses) - 1]);
}

void Nudge::stop() noexcept {
  set_timer(0);
}

}  // namespace underthread::os
