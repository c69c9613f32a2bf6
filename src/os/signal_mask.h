// Which signals a thread blocks, or waits for.
#pragma once

#include <csignal>
#include <cstdint>

namespace underthread::os {

enum class WaitsFor : std::uint8_t {
  the_signal,    ///< in `sigwait` or its like: the thread would take it there; or it blocks the
                 ///< signal, and may be on its way there
  another_call,  ///< in a system call that waits for something else, and not for a lock
  a_lock,
  nothing,  ///< it runs, and may be on its way into a system call
  unknown,  ///< in a call that does not wait, or the system does not tell (no /proc)
};
/// What a thread of this process, by the kernel's number, waits for at this moment. One that runs
/// is looked at that often. Async-signal-safe; keeps errno.
WaitsFor waits_for(std::uint64_t native_id, int signum, int looks) noexcept;

/// Whether the calling thread blocks the signal.
bool this_thread_blocks(int signum) noexcept;

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
