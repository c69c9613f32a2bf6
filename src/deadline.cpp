#include <underthread/deadline.h>

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
  return said_ == Said::forever ? lot::never : moment_in(std::chrono::nanoseconds(nanoseconds_));
}

std::int64_t moment_in(std::chrono::nanoseconds duration) noexcept {
  if (duration.count() <= 0) return 0;
  const std::int64_t now = os::now();
  return duration.count() < lot::never - now ? now + duration.count() : lot::never;
}

}  // namespace underthread
