// A block that takes no longer than it may (Python: `underthread.time_limit`).
#pragma once

#include <underthread/deadline.h>
#include <underthread/errors.h>

#include <cstdint>

namespace underthread {

/// When its time is up while it exists, the next safe point of its thread throws TimeoutError,
/// once; a wait at one ends at that moment, and so does a system call in an InterruptibleSyscalls.
/// Never once it is gone. Held off as interrupts are (HoldInterrupts, and while an exception
/// unwinds the stack), and told after them. While one exists a safe point reads the clock; no
/// thread keeps the time, and no signal is sent but to end system calls.
///
///     underthread::TimeLimit limit(500ms);
///     queue.get();                            // throws TimeoutError half a second from here
///
/// Limits nest: whichever is over first throws first, and says how long it was ("the time limit of
/// 0.5 s is over"); of those that are over at the same moment the outermost.
///
/// For the thread that made it alone, which must destroy it.
class [[nodiscard]] TimeLimit {
 public:
  /// @param timeout  seconds or a duration; -1: no limit
  /// @throws as Timeout::deadline
  [[nodiscard]] explicit TimeLimit(Timeout timeout);
  ~TimeLimit();
  TimeLimit(const TimeLimit&) = delete;
  TimeLimit& operator=(const TimeLimit&) = delete;

  /// Whether its time is up, told or not.
  bool expired() const noexcept;

 private:
  friend class TimeLimits;
  Timeout said_;
  std::int64_t until_;
  bool is_told_ = false;
  TimeLimit* outer_ = nullptr;
};

}  // namespace underthread
