// Between signals, which note what has arrived, and interrupts, which find the moment to run it.
#pragma once

#include "lot/thread_record.h"

namespace underthread {

/// Runs the handlers of the signals that have arrived, lowest number first, in the main thread
/// `me`. If one throws, the signals behind it stay due.
void run_due_handlers(lot::ThreadRecord& me);
/// Whether that signal has arrived and its handler has not run; it will not run any more.
bool take_arrived(int signum) noexcept;
/// Whether it would run one. Async-signal-safe.
bool handlers_are_due(const lot::ThreadRecord& me) noexcept;

}  // namespace underthread
