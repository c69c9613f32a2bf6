#include "os/nudge.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <iterator>
#include <limits>

#include <sys/syscall.h>
#include <unistd.h>

#include "os/cancellation.h"
#include "os/futex.h"
#include "os/request_signal.h"
#include "os/signal_front.h"
#include "os/signal_mask.h"
#include "os/signal_stack.h"

namespace underthread::os {
namespace {

// The kernel's timers take its own idea of a moment, which is the C library's where that has not
// been told to have a larger one.
static_assert(sizeof(time_t) == sizeof(long));

constexpr std::int64_t second = 1'000'000'000;
constexpr std::int64_t ms = 1'000'000;
constexpr std::int64_t pauses[] = {1 * ms, 5 * ms, 20 * ms, 100 * ms};

// From the first; null: no more. Written before the handler that reads them is installed.
constinit std::array<std::atomic<void (*)()>, 4> nudged_functions{};
// The last that was claimed; 0: none. Relaxed: a hint, which sigaction confirms.
constinit std::atomic<int> claimed{0};
// All that have been aimed. release when one is put in front, acquire where they are gone through.
constinit std::atomic<Nudge*> nudges{nullptr};

/// A nudge's signal has this address with it, by which it is told from all others.
constinit char mark = 0;

void add(void (*nudged)()) noexcept {
  for (auto& function : nudged_functions) {
    void (*found)() = nullptr;
    if (function.compare_exchange_strong(found, nudged, std::memory_order_acq_rel,
                                         std::memory_order_acquire) ||
        found == nudged)
      return;
  }
}

/// Requests have the same signal, and hand on what is none of them.
bool is_ours(int signum) noexcept {
  struct sigaction action = {};
  return sigaction(signum, nullptr, &action) == 0 &&
         ((action.sa_flags & SA_SIGINFO) != 0 ? action.sa_sigaction == handle_request
                                              : action.sa_handler == Nudge::handle);
}

// Takes it if the program does nothing about it. Where two threads do so at once, both have the
// same handler.
bool take(int signum) noexcept {
  struct sigaction action = {};
  if (sigaction(signum, nullptr, &action) != 0) return false;
  if ((action.sa_flags & SA_SIGINFO) != 0 || action.sa_handler != SIG_DFL) return is_ours(signum);
  action = {};
  action.sa_handler = Nudge::handle;
  action.sa_flags = on_signal_stack;  // and no SA_RESTART, which is the point
  sigemptyset(&action.sa_mask);
  return sigaction(signum, &action, nullptr) == 0;
}

}  // namespace

void Nudge::handle(int) {
  const int saved = errno;
  for (const auto& function : nudged_functions) {
    // acquire: pairs with the release in `add`.
    void (*const nudged)() = function.load(std::memory_order_acquire);
    if (!nudged) break;
    nudged();
  }
  errno = saved;
}

bool Nudge::is_one(const siginfo_t& info) noexcept {
  return (info.si_code == SI_QUEUE || info.si_code == SI_TIMER) && info.si_value.sival_ptr == &mark;
}

int Nudge::claim(int number, void (*nudged)(), int but) noexcept {
  add(nudged);
  int signum = claimed.load(std::memory_order_relaxed);
  // The one before, where that is ours, or SIGURG is default again as `let_go` has left it.
  const bool may_stay = signum != 0 && (number == 0 || number == signum);
  if (may_stay && (signum == SIGURG || is_ours(signum)) && take(signum)) return signum;
  if (number != 0) {
    signum = take(number) ? number : 0;
  } else {
    signum = take(SIGURG) ? SIGURG : 0;
    for (int other = SIGRTMAX - 1; signum == 0 && other > SIGRTMIN; --other)
      if (other != but && take(other)) signum = other;
  }
  claimed.store(signum, std::memory_order_relaxed);
  return signum;
}

void Nudge::let_go() noexcept {
  if (claimed.load(std::memory_order_relaxed) != SIGURG) return;
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  sigemptyset(&action.sa_mask);
  struct sigaction before = {};
  if (!is_ours(SIGURG) || is_request_signal(SIGURG) || sigaction(SIGURG, &action, &before) != 0)
    return;
  // Somebody has installed one between the look and this: it stays.
  if ((before.sa_flags & SA_SIGINFO) != 0 || before.sa_handler != Nudge::handle)
    sigaction(SIGURG, &before, nullptr);
}

int Nudge::number_wanted() noexcept {
  const char* const text = std::getenv("UNDERTHREAD_NUDGE");
  if (!text || !*text) return 0;
  char* end = nullptr;
  const long number = std::strtol(text, &end, 10);
  if (*end || number < 1 || number >= NSIG) return -1;
  const bool may_be_sent = (signals_with_fronts() >> (number - 1) & 1) != 0;
  return may_be_sent ? static_cast<int>(number) : -1;
}

void Nudge::forget_all() noexcept {
  Nudge* nudge = nudges.load(std::memory_order_acquire);
  for (; nudge; nudge = nudge->next_) {
    // One that is put away is left alone: its memory is the parent's as long as nobody writes it.
    if (nudge->native_id_.load(std::memory_order_relaxed) == 0) continue;
    nudge->timer_.store(-1, std::memory_order_relaxed);
    nudge->native_id_.store(0, std::memory_order_relaxed);
    nudge->is_set_.store(false, std::memory_order_relaxed);
    // Those who were sending are not here.
    nudge->state_.store(0, std::memory_order_relaxed);
  }
}

void Nudge::aim_without_timer(std::uint64_t native_id, int signum) noexcept {
  if (native_id_.load(std::memory_order_relaxed) == native_id &&
      signum_.load(std::memory_order_relaxed) == signum)
    return;
  delete_timer();
  native_id_.store(native_id, std::memory_order_relaxed);
  signum_.store(signum, std::memory_order_relaxed);
  if (is_listed_) return;
  is_listed_ = true;
  next_ = nudges.load(std::memory_order_relaxed);
  while (!nudges.compare_exchange_weak(next_, this, std::memory_order_release,
                                       std::memory_order_relaxed)) {
  }
}

bool Nudge::aim(std::uint64_t native_id, int signum) noexcept {
  aim_without_timer(native_id, signum);
  return make_timer();
}

bool Nudge::make_timer() noexcept {
  if (timer_.load(std::memory_order_relaxed) >= 0) return true;
  struct sigevent event = {};
  event.sigev_notify = SIGEV_THREAD_ID;
  event.sigev_signo = signum_.load(std::memory_order_relaxed);
  event.sigev_value.sival_ptr = &mark;
  event._sigev_un._tid = static_cast<pid_t>(native_id_.load(std::memory_order_relaxed));
  // The system's own call, since the C library's allocates, and this may be in a signal handler.
  int timer = -1;
  if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) != 0) return false;
  int none = -1;
  if (timer_.compare_exchange_strong(none, timer, std::memory_order_relaxed)) return true;
  syscall(SYS_timer_delete, timer);
  return true;
}

void Nudge::delete_timer() noexcept {
  const int timer = timer_.exchange(-1, std::memory_order_relaxed);
  if (timer >= 0) syscall(SYS_timer_delete, timer);
}

void Nudge::open() noexcept {
  state_.fetch_or(open_bit, std::memory_order_acq_rel);
}

void Nudge::close() noexcept {
  // One in this thread, in a signal handler, is over; another's takes a system call.
  std::uint32_t state = state_.fetch_and(~open_bit, std::memory_order_acq_rel) & ~open_bit;
  while (state >= one_sender) {
    if ((state & closer_sleeps) ||
        state_.compare_exchange_weak(state, state | closer_sleeps, std::memory_order_acq_rel,
                                     std::memory_order_acquire))
      futex_wait(state_, state | closer_sleeps, std::numeric_limits<std::int64_t>::max());
    state = state_.load(std::memory_order_acquire);
  }
  state_.fetch_and(~closer_sleeps, std::memory_order_relaxed);
  if (!is_set_.load(std::memory_order_relaxed)) return;
  const int saved = errno;
  set_timer(0, false);
  // A nudge that was sent before is taken at the latest where a system call returns, and there may
  // have been none; one that is blocked would be taken where it no longer is.
  discard(signum_.load(std::memory_order_relaxed));
  is_set_.store(false, std::memory_order_relaxed);
  errno = saved;
}

void Nudge::put_away() noexcept {
  close();
  delete_timer();
  native_id_.store(0, std::memory_order_relaxed);
}

bool Nudge::enter() noexcept {
  if (state_.fetch_add(one_sender, std::memory_order_acq_rel) & open_bit) return true;
  leave();
  return false;
}

void Nudge::leave() noexcept {
  const std::uint32_t before = state_.fetch_sub(one_sender, std::memory_order_release);
  if ((before & closer_sleeps) && before < 2 * one_sender) futex_wake_one(state_);
}

void Nudge::set_timer(std::int64_t ns, bool is_moment, bool once) noexcept {
  if (ns != 0) is_set_.store(true, std::memory_order_relaxed);
  // The system may have had none left before.
  if (ns != 0) make_timer();
  const int timer = timer_.load(std::memory_order_relaxed);
  if (timer < 0) return;
  struct itimerspec when = {};
  when.it_value.tv_sec = static_cast<time_t>(ns / second);
  when.it_value.tv_nsec = static_cast<long>(ns % second);
  // Where a signal was taken and its handler did not run, there is another.
  if (ns != 0 && !once) when.it_interval.tv_nsec = pauses[std::size(pauses) - 1];
  syscall(SYS_timer_settime, timer, is_moment ? TIMER_ABSTIME : 0, &when, nullptr);
}

void Nudge::pause_and_nudge() noexcept {
  const std::uint32_t pause = pauses_.fetch_add(1, std::memory_order_relaxed);
  set_timer(pauses[pause < std::size(pauses) ? pause : std::size(pauses) - 1], false);
}

void Nudge::send_once(std::uint64_t native_id, int signum) noexcept {
  siginfo_t info = {};
  info.si_signo = signum;
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value.sival_ptr = &mark;
  // Where the system has no room to queue it, a plain one needs none.
  if (syscall(SYS_rt_tgsigqueueinfo, info.si_pid, static_cast<pid_t>(native_id), signum, &info) !=
      0)
    syscall(SYS_tgkill, info.si_pid, static_cast<pid_t>(native_id), signum);
}

void Nudge::discard(int signum) noexcept {
  if (signum == 0 || !this_thread_blocks(signum)) return;
  const int saved = errno;
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signum);
  const struct timespec now = {};
  siginfo_t info;
  const NoCancellation whole;
  while (sigtimedwait(&only, &info, &now) == signum) {
    if (is_one(info)) continue;
    // A standard signal waits once: it is sent again as it was.
    syscall(SYS_rt_tgsigqueueinfo, getpid(), static_cast<pid_t>(syscall(SYS_gettid)), signum,
            &info);
    break;
  }
  errno = saved;
}

void Nudge::begin() noexcept {
  if (!enter()) return;
  pauses_.store(0, std::memory_order_relaxed);
  // Before it is sent, since its handler may be what stops the timer. Not left to the handler
  // alone: a signal can be taken without it (sigwait, what hosts the program).
  set_timer(pauses[0], false);
  send_once(native_id_.load(std::memory_order_relaxed), signum_.load(std::memory_order_relaxed));
  leave();
}

void Nudge::begin_here() noexcept {
  if (!enter()) return;
  pauses_.store(0, std::memory_order_relaxed);
  is_set_.store(true, std::memory_order_relaxed);
  send_once(native_id_.load(std::memory_order_relaxed), signum_.load(std::memory_order_relaxed));
  leave();
}

void Nudge::begin_later() noexcept {
  if (!enter()) return;
  pauses_.store(0, std::memory_order_relaxed);
  pause_and_nudge();
  leave();
}

void Nudge::begin_at(std::int64_t moment) noexcept {
  if (!enter()) return;
  pauses_.store(0, std::memory_order_relaxed);
  set_timer(moment > 0 ? moment : 1, true);
  leave();
}

void Nudge::begin_once_at(std::int64_t moment) noexcept {
  if (!enter()) return;
  pauses_.store(0, std::memory_order_relaxed);
  set_timer(moment > 0 ? moment : 1, true, true);
  leave();
}

void Nudge::again() noexcept {
  if (!enter()) return;
  pause_and_nudge();
  leave();
}

void Nudge::stop() noexcept {
  if (!is_set_.load(std::memory_order_relaxed) || !enter()) return;
  set_timer(0, false);
  leave();
}

}  // namespace underthread::os
