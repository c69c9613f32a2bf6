// Between signals, which note what has arrived, and interrupts, which find the moment to run it.
#pragma once

namespace underthread {

/// Runs the handlers of the signals that have arrived, lowest number first; in the main thread. If
/// one throws, the signals behind it stay due.
void run_due_handlers();

}  // namespace underthread
