// What the system does about a signal.
#pragma once

#include <cstdint>

namespace underthread::os {

enum class SignalAction : std::uint8_t {
  system_default,
  ignored,
  ours,     ///< the function given to `set_signal_action`
  foreign,  ///< a handler that we did not set; remembered when ours replaces it
};

/// Signal numbers are from 1 to this.
int last_signal() noexcept;

/// The real-time signals that a program may use: the C library keeps the first ones for itself.
int first_real_time_signal() noexcept;
int last_real_time_signal() noexcept;

SignalAction signal_action(int signum) noexcept;

using SignalHandler = void (*)(int);
/// What handles a signal; null: nothing, or a function that takes more than the number.
SignalHandler signal_handler(int signum) noexcept;

/// Sets what happens at a signal. `ours` runs on whichever thread the system picks, with errno
/// kept, and interrupts system calls (no SA_RESTART: a waiting main thread must notice). It must be
/// async-signal-safe. `foreign` puts back what was remembered.
/// @return 0, or an errno value: nothing was changed
int set_signal_action(int signum, SignalAction action, void (*ours)(int)) noexcept;

/// Ends this process by the signal, as if it had never been handled.
[[noreturn]] void die_of_signal(int signum) noexcept;

}  // namespace underthread::os
