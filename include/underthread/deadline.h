// How long to wait, said by the caller (Timeout), and until when, kept by us (a moment).
//
// A Timeout is only what was said: nothing is checked until something is about to wait, so that the
// errors come in CPython's order and from the call that they are about.
#pragma once

#include <underthread/lot/wait.h>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <ratio>
#include <type_traits>

namespace underthread {

/// The largest timeout accepted, in seconds (document: `_thread.TIMEOUT_MAX`): about 292 years, and
/// CPython's own number on 64-bit Linux.
inline constexpr double TIMEOUT_MAX = 9223372036.0;

/// A number of seconds, where -1 waits for ever, or any std::chrono duration. Fractions of a
/// nanosecond round up, so that a wait is never shorter than asked.
class Timeout {
 public:
  /// Seconds. -1 waits for ever (document: `lock.acquire`).
  template <class Number>
  requires(std::is_arithmetic_v<Number> &&
           !std::same_as<Number, bool>) constexpr Timeout(Number seconds) noexcept {
    if (seconds == Number(-1) && std::is_signed_v<Number>) return;
    set(static_cast<double>(seconds));
    if constexpr (std::integral<Number>)
      if (said_ == Said::this_long)
        nanoseconds_ = static_cast<std::int64_t>(seconds) * 1'000'000'000;
  }

  /// A duration. Here -1 s is negative like any other: time left that was worked out and came out
  /// just below zero must not wait for ever.
  template <class Rep, class Period>
  constexpr Timeout(std::chrono::duration<Rep, Period> duration) noexcept {
    set(static_cast<double>(duration.count()) * Period::num / Period::den);
    if constexpr (!std::chrono::treat_as_floating_point_v<Rep>)
      if (said_ == Said::this_long)
        nanoseconds_ = std::chrono::ceil<std::chrono::nanoseconds>(duration).count();
  }

  /// True of -1, the default everywhere.
  constexpr bool is_forever() const noexcept { return said_ == Said::forever; }

  /// The moment at which this timeout is up, counted from now; `lot::never` for -1. With
  /// `blocking == false` the only timeout allowed is -1, and the moment is long past.
  /// @throws std::invalid_argument  "can't specify a timeout for a non-blocking call",
  ///                                "timeout value must be a non-negative number",
  ///                                "Invalid value NaN (not a number)"
  /// @throws std::overflow_error    "timeout value is too large": above TIMEOUT_MAX
  std::int64_t deadline(bool blocking = true) const;

 private:
  enum class Said : std::uint8_t { forever, this_long, negative, not_a_number, too_long };

  constexpr void set(double seconds) noexcept {
    if (seconds != seconds) {
      said_ = Said::not_a_number;
    } else if (seconds < 0) {
      said_ = Said::negative;
    } else if (seconds > TIMEOUT_MAX) {
      said_ = Said::too_long;
    } else {
      said_ = Said::this_long;
      const double exact = seconds * 1e9;
      nanoseconds_ = static_cast<std::int64_t>(exact);
      if (static_cast<double>(nanoseconds_) < exact) ++nanoseconds_;
    }
  }

  std::int64_t nanoseconds_ = 0;
  Said said_ = Said::forever;
};

/// The moment `duration` from now; the past for zero and less, `lot::never` where it cannot be
/// counted. This is the standard's rule for `try_lock_for` and `sleep_for`: nothing is an error.
std::int64_t moment_in(std::chrono::nanoseconds duration) noexcept;

template <class Rep, class Period>
std::int64_t moment_after(const std::chrono::duration<Rep, Period>& duration) noexcept {
  using namespace std::chrono;
  if (!(duration > duration.zero())) return moment_in(nanoseconds::zero());
  if (std::chrono::duration<double>(duration).count() > TIMEOUT_MAX) return lot::never;
  return moment_in(ceil<nanoseconds>(duration));
}

/// The same moment on our clock, which counts with steady_clock.
template <class Duration>
std::int64_t moment_of(
    const std::chrono::time_point<std::chrono::steady_clock, Duration>& when) noexcept {
  using namespace std::chrono;
  const auto since = when.time_since_epoch();
  if (!(since > since.zero())) return 0;
  if (std::chrono::duration<double>(since).count() > TIMEOUT_MAX) return lot::never;
  return ceil<nanoseconds>(since).count();
}

/// Gives `attempt` our moment for `when` and returns what it returned: true for success. A clock
/// other than steady_clock can be set while we wait, so it is asked again after every failure.
template <class Clock, class Duration, class Attempt>
bool attempt_until(const std::chrono::time_point<Clock, Duration>& when, Attempt attempt) {
  if constexpr (std::same_as<Clock, std::chrono::steady_clock>) {
    return attempt(moment_of(when));
  } else {
    do {
      if (attempt(moment_after(when - Clock::now()))) return true;
    } while (Clock::now() < when);
    return false;
  }
}

}  // namespace underthread
