#include "os/signal_action.h"

#include <atomic>
#include <cerrno>
#include <csignal>

#include <unistd.h>

#include "os/nudge.h"
#include "os/request_signal.h"
#include "os/signal_stack.h"
#include "os/thread_sanitizer.h"

namespace underthread::os {
namespace {

constexpr int signal_count = NSIG;

// Written before the handler that reads it is installed.
constinit std::atomic<void (*)(int)> our_function{nullptr};

/// Whether the system says so of something that this thread has done, and does again when the
/// handler returns.
bool is_fault(int signum, const siginfo_t& info) noexcept {
  if (signum != SIGSEGV && signum != SIGBUS && signum != SIGFPE && signum != SIGILL) return false;
  return info.si_code > 0;
}

void on_signal(int signum, siginfo_t* info, void*) {
  if (Nudge::is_one(*info)) return Nudge::handle(signum);
  const int saved = errno;
  if (is_fault(signum, *info)) {
    struct sigaction as_ever = {};
    as_ever.sa_handler = SIG_DFL;
    sigaction(signum, &as_ever, nullptr);
    return;
  }
  // acquire: pairs with the release in `set_signal_action`.
  our_function.load(std::memory_order_acquire)(signum);
  errno = saved;
}

SignalAction kind_of(const struct sigaction& action) noexcept {
  // What requests take is as good as untouched, as what nudges take is.
  if ((action.sa_flags & SA_SIGINFO) != 0)
    return action.sa_sigaction == on_signal        ? SignalAction::ours
           : action.sa_sigaction == handle_request ? SignalAction::system_default
                                                   : SignalAction::foreign;
  if (action.sa_handler == SIG_DFL || action.sa_handler == Nudge::handle)
    return SignalAction::system_default;
  if (action.sa_handler == SIG_IGN) return SignalAction::ignored;
  return SignalAction::foreign;
}

bool is_nudges(int signum) noexcept {
  struct sigaction action = {};
  return sigaction(signum, nullptr, &action) == 0 &&
         ((action.sa_flags & SA_SIGINFO) != 0
              ? signum == SIGURG && action.sa_sigaction == handle_request
              : action.sa_handler == Nudge::handle);
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

SignalAction signal_action(int signum, ForeignAction* foreign) noexcept {
  struct sigaction action = {};
  if (sigaction(signum, nullptr, &action) != 0) return SignalAction::system_default;
  const SignalAction kind = kind_of(action);
  if (foreign && kind != SignalAction::ours) foreign->action = action;
  return kind;
}

SignalHandler signal_handler(int signum) noexcept {
  struct sigaction action = {};
  if (sigaction(signum, nullptr, &action) != 0 || (action.sa_flags & SA_SIGINFO) != 0)
    return nullptr;
  return action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN ? nullptr : action.sa_handler;
}

int set_signal_action(int signum, SignalAction action, void (*ours)(int),
                      const ForeignAction* foreign) noexcept {
  struct sigaction wanted = {};
  sigemptyset(&wanted.sa_mask);
  switch (action) {
    case SignalAction::system_default:
      // What nudges are sent with is as good as untouched, and stays theirs.
      if (is_nudges(signum)) return 0;
      wanted.sa_handler = SIG_DFL;
      break;
    case SignalAction::ignored:
      wanted.sa_handler = SIG_IGN;
      break;
    case SignalAction::ours:
      our_function.store(ours, std::memory_order_release);
      wanted.sa_sigaction = on_signal;
      // SA_RESTART: a main thread that waits in the library is woken otherwise, and what else it is
      // in (printf, say) may take EINTR for a failure.
      wanted.sa_flags = on_signal_stack | SA_RESTART | SA_SIGINFO;
      // Threads that are in a scope are still nudged by it. And ThreadSanitizer holds a handler
      // back until a call returns: one that the system went on with would never be left.
      if (is_nudges(signum) || is_under_thread_sanitizer()) wanted.sa_flags &= ~SA_RESTART;
      break;
    case SignalAction::foreign:
      break;
  }
  if (foreign && action != SignalAction::ours) wanted = foreign->action;
  return sigaction(signum, &wanted, nullptr) != 0 ? errno : 0;
}

void die_of_signal(int signum) noexcept {
  set_signal_action(signum, SignalAction::system_default, nullptr);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signum);
  pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
  // To this thread, which does not come back from it, but as the first process of a container:
  // there the system takes no signal for one that ends it.
  raise(signum);
  _exit(128 + signum);
}

}  // namespace underthread::os
