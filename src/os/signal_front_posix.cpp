#include "os/signal_front.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstddef>

#include <sys/syscall.h>
#include <unistd.h>

#include "os/signal_mask.h"

namespace underthread::os {
namespace {

constexpr std::size_t signal_count = NSIG;
constexpr std::size_t levels = 8;

using PlainHandler = void (*)(int);
using InfoHandler = void (*)(int, siginfo_t*, void*);

/// What a front was put before. Set once, and then for ever: `takes_info` before `address`, which
/// goes with release and is read with acquire in a signal handler.
struct Before {
  std::atomic<std::uintptr_t> address{0};
  bool takes_info = false;
};
constinit std::array<std::array<Before, signal_count>, levels> befores{};
/// How many front functions of a signal have been used; by whoever calls `put_front`.
constinit std::array<std::size_t, signal_count> used{};

constinit std::atomic<void (*)()> function_behind{nullptr};

// seq_cst: who notes sets its bit and then looks whether signals are still held; who releases ends
// the hold and then takes the bits. One of the two finds the signal, and by `fetch_and` only one.
constinit std::atomic<bool> is_holding{false};
constinit std::atomic<std::uint64_t> noted{0};
/// Signals whose `infos` is being written, or is to be read. acq_rel: one writer at a time.
constinit std::atomic<std::uint64_t> claimed{0};
constinit std::array<siginfo_t, signal_count> infos{};

constexpr std::uint64_t bit_of(int signum) noexcept {
  return std::uint64_t{1} << (signum - 1);
}

bool takes_info(const struct sigaction& action) noexcept {
  return (action.sa_flags & SA_SIGINFO) != 0;
}

/// Calls what handles the signal, if something does.
void handle_here(int signum, siginfo_t& info) noexcept {
  struct sigaction action = {};
  sigaction(signum, nullptr, &action);
  if (takes_info(action)) {
    // There is no context: nothing was interrupted.
    action.sa_sigaction(signum, &info, nullptr);
  } else if (action.sa_handler != SIG_DFL && action.sa_handler != SIG_IGN) {
    action.sa_handler(signum);
  }
}

/// Sends the signal, as it came, to the calling thread. Async-signal-safe.
void send_again(int signum) noexcept {
  siginfo_t info = infos[static_cast<std::size_t>(signum)];
  claimed.fetch_and(~bit_of(signum), std::memory_order_acq_rel);
  // It has been taken from the system once: blocked here, it would be there again.
  if (this_thread_blocks(signum)) return handle_here(signum, info);
  const auto here = static_cast<pid_t>(syscall(SYS_gettid));
  // Where the system has no room to queue it, a plain one needs none.
  if (syscall(SYS_rt_tgsigqueueinfo, getpid(), here, signum, &info) != 0)
    syscall(SYS_tgkill, getpid(), here, signum);
}

/// @return false: signals are not held any more, and this one is to be handled
bool note(int signum, const siginfo_t* info) noexcept {
  const std::uint64_t bit = bit_of(signum);
  // One is noted already, or is just being noted: the two are one, as for the system.
  if (claimed.fetch_or(bit, std::memory_order_acq_rel) & bit) return true;
  infos[static_cast<std::size_t>(signum)] = *info;
  noted.fetch_or(bit, std::memory_order_seq_cst);
  if (is_holding.load(std::memory_order_seq_cst)) return true;
  if (!(noted.fetch_and(~bit, std::memory_order_seq_cst) & bit)) return true;
  claimed.fetch_and(~bit, std::memory_order_acq_rel);
  return false;
}

void call(const Before& before, int signum, siginfo_t* info, void* context) {
  const std::uintptr_t address = before.address.load(std::memory_order_acquire);
  if (before.takes_info)
    reinterpret_cast<InfoHandler>(address)(signum, info, context);
  else
    reinterpret_cast<PlainHandler>(address)(signum);
}

template <std::size_t level>
void on_signal(int signum, siginfo_t* info, void* context) {
  const int saved = errno;
  const bool is_noted = is_holding.load(std::memory_order_seq_cst) && note(signum, info);
  errno = saved;
  if (!is_noted) call(befores[level][static_cast<std::size_t>(signum)], signum, info, context);
  const int after = errno;
  if (void (*const behind)() = function_behind.load(std::memory_order_acquire)) behind();
  errno = after;
}

constexpr std::array<InfoHandler, levels> fronts = {on_signal<0>, on_signal<1>, on_signal<2>,
                                                    on_signal<3>, on_signal<4>, on_signal<5>,
                                                    on_signal<6>, on_signal<7>};

std::uintptr_t address_of(const struct sigaction& action) noexcept {
  return takes_info(action) ? reinterpret_cast<std::uintptr_t>(action.sa_sigaction)
                            : reinterpret_cast<std::uintptr_t>(action.sa_handler);
}

bool is_same(const Before& before, const struct sigaction& action) noexcept {
  return before.address.load(std::memory_order_relaxed) == address_of(action) &&
         before.takes_info == takes_info(action);
}

bool is_front(const struct sigaction& action) noexcept {
  if (!takes_info(action)) return false;
  for (const InfoHandler front : fronts)
    if (action.sa_sigaction == front) return true;
  return false;
}

constexpr std::uint64_t without_front = [] {
  std::uint64_t bits = 0;
  for (const int signum :
       {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGKILL, SIGSTOP})
    bits |= bit_of(signum);
  return bits;
}();

}  // namespace

std::uint64_t signals_with_fronts() noexcept {
  const std::uint64_t standard = bit_of(SIGSYS) | (bit_of(SIGSYS) - 1);
  const std::uint64_t real_time = ~(bit_of(SIGRTMIN) - 1);
  return (standard | real_time) & ~without_front;
}

Front put_front(int signum) noexcept {
  struct sigaction action = {};
  if (signum < 1 || signum >= NSIG || !(signals_with_fronts() & bit_of(signum)) ||
      sigaction(signum, nullptr, &action) != 0)
    return Front::refused;
  if (is_front(action)) return Front::there;
  if (!takes_info(action) && (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN))
    return Front::no_handler;
  if ((action.sa_flags & SA_RESETHAND) != 0) return Front::refused;
  const auto number = static_cast<std::size_t>(signum);
  // The front function that was put before this handler once serves again.
  std::size_t level = 0;
  while (level < used[number] && !is_same(befores[level][number], action)) ++level;
  if (level == levels) return Front::refused;
  if (level == used[number]) {
    befores[level][number].takes_info = takes_info(action);
    befores[level][number].address.store(address_of(action), std::memory_order_release);
    ++used[number];
  }
  struct sigaction wanted = action;
  wanted.sa_flags |= SA_SIGINFO;
  wanted.sa_sigaction = fronts[level];
  struct sigaction found = {};
  if (sigaction(signum, &wanted, &found) != 0) return Front::refused;
  // Another thread has set a handler meanwhile: that is the program's, and stays.
  if (!is_same(befores[level][number], found)) {
    sigaction(signum, &found, nullptr);
    return Front::refused;
  }
  return Front::there;
}

void call_behind_fronts(void (*behind)()) noexcept {
  function_behind.store(behind, std::memory_order_release);
}

void hold_signals() noexcept {
  is_holding.store(true, std::memory_order_seq_cst);
}

void release_signals() noexcept {
  is_holding.store(false, std::memory_order_seq_cst);
  std::uint64_t left = noted.exchange(0, std::memory_order_seq_cst);
  for (int signum = 1; left != 0; ++signum, left >>= 1)
    if (left & 1) send_again(signum);
}

bool are_signals_noted() noexcept {
  return noted.load(std::memory_order_relaxed) != 0;
}

void forget_noted_signals(bool holds) noexcept {
  is_holding.store(holds, std::memory_order_seq_cst);
  noted.store(0, std::memory_order_seq_cst);
  claimed.store(0, std::memory_order_seq_cst);
}

}  // namespace underthread::os
