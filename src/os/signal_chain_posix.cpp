#include "os/signal_chain.h"

#include <atomic>
#include <cerrno>
#include <csignal>

namespace underthread::os {
namespace {

// Written before the handler that reads them is installed: release, and acquire there.
constinit std::atomic<SignalHandler> chained_handler{nullptr};
constinit std::atomic<void (*)()> function_after{nullptr};

void on_signal(int signum) {
  chained_handler.load(std::memory_order_acquire)(signum);
  const int saved = errno;
  function_after.load(std::memory_order_acquire)();
  errno = saved;
}

bool is_plain(const struct sigaction& action) noexcept {
  return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler != SIG_DFL &&
         action.sa_handler != SIG_IGN;
}

}  // namespace

SignalHandler signal_handler(int signum) noexcept {
  struct sigaction action = {};
  if (sigaction(signum, nullptr, &action) != 0 || !is_plain(action)) return nullptr;
  return action.sa_handler;
}

void chain_signals(SignalHandler handler, void (*after)()) noexcept {
  chained_handler.store(handler, std::memory_order_release);
  function_after.store(after, std::memory_order_release);
  for (int signum = 1; signum < NSIG; ++signum) {
    struct sigaction action = {};
    if (sigaction(signum, nullptr, &action) != 0 || !is_plain(action)) continue;
    if (action.sa_handler != handler) continue;
    action.sa_handler = on_signal;
    sigaction(signum, &action, nullptr);
  }
}

}  // namespace underthread::os
