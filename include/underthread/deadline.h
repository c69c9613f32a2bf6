// How long to wait, said by the caller (Timeout), and until when, kept by us: a deadline, in ns of
// the monotonic clock, which is steady_clock's; 0 is long past, and `lot::never` does not come.
//
// A Timeout is only what was said: nothing is checked until something is about to wait, so that the
// errors come in CPython's order and from the call that they are about.
#pragma once

#include <underthread/lot/wait.h>

#include <chrono>
#include <concepts>
#include <cstdint>
#include <ratio>
#include <string>
#include <type_traits>

namespace underthread {

/// The largest timeout accepted, in seconds (document: `_thread.TIMEOUT_MAX`): about 292 years, and
/// CPython's own number on 64-bit Linux.
inline constexpr double TIMEOUT_MAX = 9223372036.0;

/// A duration in ns, rounded up; it is not negative, and TIMEOUT_MAX or less. Seconds and the rest
/// on their own: std::chrono would multiply all of it, and overflow for units such as 1/90000 s.
template <class Rep, class Period>
constexpr std::int64_t nanoseconds_of(const std::chrono::duration<Rep, Period>& duration) noexcept {
  using namespace std::chrono;
  if constexpr (treat_as_floating_point_v<Rep>) {
    return ceil<nanoseconds>(duration).count();
  } else {
    const auto whole = duration_cast<std::chrono::duration<std::int64_t>>(duration);
    return whole.count() * 1'000'000'000 + ceil<nanoseconds>(duration - whole).count();
  }
}

/// A moment of steady_clock as a deadline: 0 for its epoch and before, `lot::never` where it is too
/// far away to be counted.
template <class Clock, class Duration>
constexpr std::int64_t deadline_at(const std::chrono::time_point<Clock, Duration>& when) noexcept {
  using namespace std::chrono;
  const auto since = when.time_since_epoch();
  if (!(since > since.zero())) return 0;
  if (std::chrono::duration<double>(since).count() > TIMEOUT_MAX) return lot::never;
  return nanoseconds_of(since);
}

/// A number of seconds, where -1 waits for ever, any std::chrono duration, or a moment of
/// steady_clock. Fractions of a nanosecond round up, so that a wait is never shorter than asked.
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
      if (said_ == Said::this_long) nanoseconds_ = nanoseconds_of(duration);
  }

  /// A moment, which may be past: then a wait only tries. Of steady_clock, since another clock can
  /// be set while we wait; `try_lock_until` and `sleep_until` take any, and ask it again.
  template <class Clock, class Duration>
  constexpr Timeout(const std::chrono::time_point<Clock, Duration>& when) noexcept
      : nanoseconds_(deadline_at(when)), said_(Said::until) {
    static_assert(std::same_as<Clock, std::chrono::steady_clock>,
                  "say a moment of std::chrono::steady_clock, or call try_lock_until or "
                  "sleep_until: another clock can be set while the wait lasts");
  }

  /// True of -1, the default everywhere.
  constexpr bool is_forever() const noexcept { return said_ == Said::forever; }
  /// True where `deadline` throws nothing for a blocking call.
  constexpr bool is_valid() const noexcept { return said_ <= Said::until; }

  /// When this timeout is up, counted from now; `lot::never` for -1. With `blocking == false` the
  /// only timeout allowed is -1, and the deadline is 0.
  /// @throws std::invalid_argument  "can't specify a timeout for a non-blocking call",
  ///                                "timeout value must be a non-negative number",
  ///                                "Invalid value NaN (not a number)"
  /// @throws std::overflow_error    "timeout value is too large": above TIMEOUT_MAX
  std::int64_t deadline(bool blocking = true) const;

  /// As a person would say it: "0.5 s"; "" for -1 and for a moment.
  std::string text() const;

 private:
  enum class Said : std::uint8_t { forever, this_long, until, negative, not_a_number, too_long };

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

/// `duration` from now: 0 for zero and less, `lot::never` where it is too far away to be counted.
/// This is the standard's rule for `try_lock_for` and `sleep_for`: nothing is an error.
std::int64_t deadline_after(std::chrono::nanoseconds duration) noexcept;

template <class Rep, class Period>
std::int64_t deadline_after(const std::chrono::duration<Rep, Period>& duration) noexcept {
  using namespace std::chrono;
  if (!(duration > duration.zero())) return deadline_after(nanoseconds::zero());
  if (std::chrono::duration<double>(duration).count() > TIMEOUT_MAX) return lot::never;
  return deadline_after(nanoseconds(nanoseconds_of(duration)));
}

/// A deadline that is as far away as `when` is now by its own clock.
template <class Clock, class Duration>
std::int64_t deadline_by_its_clock(const std::chrono::time_point<Clock, Duration>& when) {
  const auto now = Clock::now();
  // Roughly at first: moments of a coarse clock, or its first and last, do not fit into the finer
  // unit that a difference, and even a comparison, would be in.
  using Seconds = std::chrono::duration<long double>;
  const Seconds left = Seconds(when.time_since_epoch()) - Seconds(now.time_since_epoch());
  if (!(left > Seconds::zero())) return 0;
  if (left.count() > TIMEOUT_MAX) return lot::never;
  // Exactly where it matters, and where a difference can be had without an overflow.
  return left.count() < 1e9 ? deadline_after(when - now) : deadline_after(left);
}

/// Gives `attempt` the deadline for `when` and returns what it returned: true for success. A clock
/// other than steady_clock can be set while we wait, so it is asked again after every failure.
template <class Clock, class Duration, class Attempt>
bool attempt_until(const std::chrono::time_point<Clock, Duration>& when, Attempt attempt) {
  if constexpr (std::same_as<Clock, std::chrono::steady_clock>) {
    return attempt(deadline_at(when));
  } else {
    for (;;) {
      const std::int64_t deadline = deadline_by_its_clock(when);
      if (attempt(deadline)) return true;
      if (deadline == 0) return false;
    }
  }
}

/// What `acquire` takes for a time limit without a `true` before it: a duration, a moment, or a
/// floating-point number of seconds. A whole number is none: Python's `acquire(0)` is
/// `acquire(false)`, and `acquire(1)` waits for ever.
template <class T>
struct IsTimeLimit : std::is_floating_point<T> {};
template <class Rep, class Period>
struct IsTimeLimit<std::chrono::duration<Rep, Period>> : std::true_type {};
template <class Clock, class Duration>
struct IsTimeLimit<std::chrono::time_point<Clock, Duration>> : std::true_type {};

template <class T>
concept TimeLimitLike = IsTimeLimit<T>::value;
template <class T>
concept WholeNumber = std::integral<T> && !std::same_as<T, bool>;

}  // namespace underthread
