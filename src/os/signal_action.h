// What the system does about a signal.
#pragma once

#include <csignal>
#include <cstdint>

namespace underthread::os {

enum class SignalAction : std::uint8_t {
  system_default,
  ignored,
  ours,     ///< the function given to `set_signal_action`
  foreign,  ///< a handler that we did not set
};

/// Such a handler, or what is in force instead of one, with all that goes with it: what else is
/// blocked while it runs, and its flags.
struct ForeignAction {
  struct sigaction action = {};

  friend bool operator==(const ForeignAction& a, const ForeignAction& b) noexcept {
    if (a.action.sa_flags != b.action.sa_flags) return false;
    return (a.action.sa_flags & SA_SIGINFO) != 0 ? a.action.sa_sigaction == b.action.sa_sigaction
                                                 : a.action.sa_handler == b.action.sa_handler;
  }
};

/// Signal numbers are from 1 to this.
int last_signal() noexcept;

/// The real-time signals that a program may use: the C library keeps the first ones for itself.
int first_real_time_signal() noexcept;
int last_real_time_signal() noexcept;

/// @param foreign  set to it, if it is that, or is the default or to be ignored, with flags that
///                 matter (SA_NOCLDWAIT); may be null
SignalAction signal_action(int signum, ForeignAction* foreign = nullptr) noexcept;

using SignalHandler = void (*)(int);
/// What handles a signal; null: nothing, or a function that takes more than the number.
SignalHandler signal_handler(int signum) noexcept;

/// Sets what happens at a signal. `ours` runs on whichever thread the system picks, with errno
/// kept; it must be async-signal-safe. System calls that the system can go on with (SA_RESTART) go
/// on after it. Where the thread itself has made a fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL), which
/// would come again at once, it is not called, and the fault ends the process as ever.
/// @param foreign  what `SignalAction::foreign` sets, and `system_default` and `ignored` where it
/// is
///                 not null
/// @return 0, or an errno value: nothing was changed
int set_signal_action(int signum, SignalAction action, void (*ours)(int),
                      const ForeignAction* foreign = nullptr) noexcept;

/// Ends this process by the signal, as if it had never been handled.
[[noreturn]] void die_of_signal(int signum) noexcept;

}  // namespace underthread::os
