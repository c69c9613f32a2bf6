// Nudge: ends the system calls of one thread with EINTR, by a signal whose handler does nothing
// else, until somebody says that it is enough.
//
// Until: a signal that comes between a thread's last look around and its system call ends nothing.
// So its handler, in the thread itself, sets a timer for the next one, with growing pauses. A
// thread that has the signal blocked is left in peace, since there is no handler to set one.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>

namespace underthread::os {

class Nudge {
 public:
  /// The signal that nudges are sent with from now on: `number`, or for 0 one that the program does
  /// nothing about: SIGURG, which is ignored by default, else one of the last real-time signals.
  /// Again: the one that is in use, unless the program has given it a handler of its own since.
  /// `nudged` is called in the handler; it must be async-signal-safe.
  /// @return the number; 0: the program uses the one that was asked for, or all that may be taken
  static int claim(int number, void (*nudged)()) noexcept;

  /// Aims at a thread of this process, by the kernel's number. The caller sees to it that nobody
  /// else calls this or `forget` meanwhile. False: the system has no timer left; then nudges are
  /// sent once and not again.
  bool aim(std::uint64_t native_id, int signum) noexcept;
  /// In the child of a fork, which has no timers.
  void forget() noexcept;

  /// Nudges now, and from then on until `stop`, which the handler is to call if nothing is awaited
  /// any more; else `again`. Any thread.
  void begin() noexcept;
  /// The same, but the first nudge comes after the first pause.
  void begin_later() noexcept;
  /// After a pause of 1, 5, 20 and then each time 100 ms. Async-signal-safe.
  void again() noexcept;
  /// No nudge is sent any more. Async-signal-safe.
  void stop() noexcept;

 private:
  void set_timer(std::int64_t ns) noexcept;

  // Relaxed, all of them: what they are about is ordered by whoever aims before it begins; the
  // pauses are a number on their own.
  std::atomic<std::uint64_t> native_id_{0};
  std::atomic<int> signum_{0};
  std::atomic<timer_t> timer_{};
  std::atomic<bool> has_timer_{false};
  std::atomic<std::uint32_t> pauses_{0};
};

}  // namespace underthread::os
