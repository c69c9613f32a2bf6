#include "os/signal_action.h"

#include <atomic>
#include <cerrno>
#include <csignal>

#include <unistd.h>

#include "os/fatal.h"

namespace underthread::os {
namespace {

constexpr int signal_count = NSIG;

// Written before the handler that reads it is installed.
constinit std::atomic<void (*)(int)> our_function{nullptr};

// By signal; set by the main thread only, in `set_signal_action`.
constinit struct sigaction foreign_actions[signal_count] = {};

void on_signal(int signum) {
  const int saved = errno;
  // acquire: pairs with the release in `set_signal_action`.
  our_function.load(std::memory_order_acquire)(signum);
  errno = saved;
}

SignalAction kind_of(const struct sigaction& action) noexcept {
  if ((action.sa_flags & SA_SIGINFO) != 0) return SignalAction::foreign;
  if (action.sa_handler == SIG_DFL) return SignalAction::system_default;
  if (action.sa_handler == SIG_IGN) return SignalAction::ignored;
  return action.sa_handler == on_signal ? SignalAction::ours : SignalAction::foreign;
}

}  // namespace

int last_signal() noexcept {
  return signal_count - 1;
}

int first_real_time_signal() noexcept {
  return SIGRTMIN;
}

int last_real_time_signal() noexcept {
  return SIGRTMAX;
}

SignalAction signal_action(int signum) noexcept {
  struct sigaction action = {};
  if (sigaction(signum, nullptr, &action) != 0) return SignalAction::system_default;
  return kind_of(action);
}

SignalHandler signal_handler(int signum) noexcept {
  struct sigaction action = {};
  if (sigaction(signum, nullptr, &action) != 0 || (action.sa_flags & SA_SIGINFO) != 0)
    return nullptr;
  return action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN ? nullptr : action.sa_handler;
}

int set_signal_action(int signum, SignalAction action, void (*ours)(int)) noexcept {
  struct sigaction wanted = {};
  switch (action) {
    case SignalAction::system_default:
      wanted.sa_handler = SIG_DFL;
      break;
    case SignalAction::ignored:
      wanted.sa_handler = SIG_IGN;
      break;
    case SignalAction::ours:
      our_function.store(ours, std::memory_order_release);
      wanted.sa_handler = on_signal;
      // On the alternate stack if the thread has one: it may have overflowed its own.
      wanted.sa_flags = SA_ONSTACK;
      break;
    case SignalAction::foreign:
      wanted = foreign_actions[signum];
      break;
  }
  if (action != SignalAction::foreign) sigemptyset(&wanted.sa_mask);
  struct sigaction before = {};
  if (sigaction(signum, &wanted, &before) != 0) return errno;
  if (kind_of(before) == SignalAction::foreign) foreign_actions[signum] = before;
  return 0;
}

void die_of_signal(int signum) noexcept {
  set_signal_action(signum, SignalAction::system_default, nullptr);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signum);
  pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  kill(getpid(), signum);
  // Sent to the process, it may reach another thread first; it ends us all the same.
  for (;;) pause();
}

}  // namespace underthread::os
