// Goes along with another's signal handlers: a runtime that hosts us takes signals by a handler of
// its own, on whichever thread the system picks, and a thread of ours that waits has to know.
#pragma once

namespace underthread::os {

using SignalHandler = void (*)(int);

/// What handles a signal; null: nothing, or a function that takes more than the number.
SignalHandler signal_handler(int signum) noexcept;

/// Wherever `handler` handles a signal now, it still does, and `after` is called behind it, in the
/// same thread, with errno kept; it must be async-signal-safe. Once more with the same two: also
/// where `handler` has been set since. One thread at a time.
void chain_signals(SignalHandler handler, void (*after)()) noexcept;

}  // namespace underthread::os
