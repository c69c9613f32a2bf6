#include <underthread/deadline.h>

#include <array>
#include <cstdio>
#include <stdexcept>

#include "os/futex.h"

namespace underthread {

std::int64_t Timeout::deadline(bool blocking) const {
  // CPython's order: not a number or too large to hold, then the pairing, then the sign, then
  // TIMEOUT_MAX.
  if (said_ == Said::not_a_number) throw std::invalid_argument("Invalid value NaN (not a number)");
  if (!blocking && said_ != Said::forever)
    throw std::invalid_argument("can't specify a timeout for a non-blocking call");
  if (said_ == Said::negative)
    throw std::invalid_argument("timeout value must be a non-negative number");
  if (said_ == Said::too_long) throw std::overflow_error("timeout value is too large");
  if (!blocking) return 0;
  if (said_ == Said::until) return nanoseconds_;
  return said_ == Said::forever ? lot::never
                                : deadline_after(std::chrono::nanoseconds(nanoseconds_));
}

std::string Timeout::text() const {
  if (said_ != Said::this_long) return "";
  std::array<char, 32> text{};
  const double seconds = static_cast<double>(nanoseconds_) / 1e9;
  std::snprintf(text.data(), text.size(), "%.12g s", seconds);
  return text.data();
}

std::int64_t deadline_after(std::chrono::nanoseconds duration) noexcept {
  if (duration.count() <= 0) return 0;
  const std::int64_t now = os::now();
  return duration.count() < lot::never - now ? now + duration.count() : lot::never;
}

}  // namespace underthread
