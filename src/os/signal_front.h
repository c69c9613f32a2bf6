// Fronts: a function of ours before the handler that a signal has, whoever set that. A runtime that
// hosts us takes signals by handlers of its own, on whichever thread the system picks; a front lets
// us note a signal for later, and know that one has come, and leaves the rest to the handler.
//
// A front is installed by sigaction in place of the handler, with the same mask and flags, and
// calls it with all that the system gave. It stays until somebody installs another action, which
// does without it from then on, or calls it as its own predecessor: both are as before.
//
// Each signal has several front functions, since a handler that was put before a front may call
// that front: the next one goes before both, and calls only what it was put before.
#pragma once

#include <csignal>
#include <cstdint>

namespace underthread::os {

enum class Front : std::uint8_t {
  there,       ///< the signal has a front, from now on or before
  no_handler,  ///< its action is the default one, or it is ignored
  refused,     ///< no front can be put there: the system's or the C library's own, a handler that
               ///< resets itself, or all front functions of this signal are in use
};

/// The signals that may have one, as bits, 1 << (number - 1): not those of a fault in the very
/// thread that takes them, which put off would come again at once, nor those that the system or the
/// C library keeps for itself.
std::uint64_t signals_with_fronts() noexcept;

/// Sees to it that the handler of `signum` has a front. One thread at a time.
Front put_front(int signum) noexcept;

/// Called behind every handler that has a front, in the thread that took the signal, with errno
/// kept; async-signal-safe. Set before the first front is put.
void call_behind_fronts(void (*behind)()) noexcept;

/// From now on a signal that comes to a front is noted and not handled. Nests not.
void hold_signals() noexcept;

/// The end of that: what was noted is sent to the calling thread, each signal once and with what
/// the system said of the first, and so handled as if it came now.
void release_signals() noexcept;

/// Whether anything has been noted since `hold_signals`.
bool are_signals_noted() noexcept;

/// In the child of a fork: what was noted is the parent's. `holds`: the hold goes on here.
/// Async-signal-safe.
void forget_noted_signals(bool holds) noexcept;

}  // namespace underthread::os
