// One wait as whoever waits sees it: until when, what else may end it, and how it ended.
#pragma once

#include <cstdint>
#include <limits>

namespace underthread::lot {

struct WaitKind;

/// A deadline that never comes. Deadlines are nanoseconds of the monotonic clock, the one that
/// std::chrono::steady_clock reads.
inline constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

/// What may end a wait before what is waited for has come and before its time is up.
enum class WakeFor : std::uint8_t {
  nothing,                 ///< nothing else: `lock()`, destructors, held-off interrupts
  interrupts,              ///< `interrupt_main`, `interrupt`, and signals set with `signal`
  interrupts_and_signals,  ///< also the return of any signal handler: for code that hosts another
                           ///< runtime, whose handlers we do not know
};

/// How a wait ended.
enum class WaitEnd : std::uint8_t {
  done,         ///< what was waited for has come
  deadlock,     ///< it would never have come: see Wait::tells_deadlock; may be waited for again
  timed_out,    ///< its time was up first
  interrupted,  ///< cut short; run `check_interrupts()` and go on with the same Wait
};

/// A wait and what must outlive its retries. Whoever is interrupted and waits again passes the same
/// object: the deadline stays (PEP 475), and so does the place in the queue.
struct Wait {
  std::int64_t until = never;  ///< deadline, ns of the monotonic clock; in the past: do not sleep
  WakeFor wake_for = WakeFor::nothing;
  std::int64_t since = 0;  ///< when the waiting began, same clock; 0: it has not. Set by the lot.
  /// Where its caller only looks around at `until`: when the wait is over. 0: at `until`.
  std::int64_t over = 0;
  /// The caller wants to hear that the wait closes a deadlock. It hears that once, and the lot
  /// notes it in `told_deadlock`: who waits again then, waits.
  bool tells_deadlock = false;
  bool told_deadlock = false;
  const WaitKind* kind = nullptr;  ///< what it is to who looks on; null: what is waited for says
};

}  // namespace underthread::lot
