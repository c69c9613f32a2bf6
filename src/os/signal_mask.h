// Which signals a thread blocks, or waits for.
#pragma once

#include <csignal>
#include <cstdint>

namespace underthread::os {

/// Whether a thread of this process is in `sigwait` or its like at this moment, and would take the
/// signal there; by the kernel's number of the thread. False also where the system does not tell
/// (no /proc). Async-signal-safe; keeps errno.
bool thread_waits_for(std::uint64_t native_id, int signum) noexcept;

/// Whether the calling thread blocks the signal.
bool this_thread_blocks(int signum) noexcept;

/// In a thread that blocks the signal: takes those that this process has sent to the thread itself,
/// or a timer of its, and that nobody has taken. What others have sent stays. Where the signal is
/// not blocked, does nothing.
void discard_own_signal(int signum) noexcept;

/// The calling thread blocks all signals while this exists, and threads that it starts meanwhile
/// block them from their first moment: a thread that the program knows nothing of takes none of its
/// signals.
class AllSignalsBlocked {
 public:
  AllSignalsBlocked() noexcept;
  ~AllSignalsBlocked();
  AllSignalsBlocked(const AllSignalsBlocked&) = delete;
  AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

}  // namespace underthread::os
