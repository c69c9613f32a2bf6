#include <underthread/deadline.h>

#include <chrono>
#include <cmath>
#include <limits>
#include <stdexcept>

#include <gtest/gtest.h>

#include "os/futex.h"
#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::text_of;

constexpr std::int64_t second = 1'000'000'000;

/// How far away the deadline is, in ns, as of some moment during the call.
void expect_away(Timeout timeout, std::int64_t least, std::int64_t most) {
  const std::int64_t before = os::now();
  const std::int64_t moment = timeout.deadline();
  const std::int64_t after = os::now();
  EXPECT_GE(moment - before, least);
  EXPECT_LE(moment - after, most);
}

TEST(Timeout, MinusOneWaitsForEverWhateverItsType) {
  EXPECT_EQ(Timeout(-1).deadline(), lot::never);
  EXPECT_EQ(Timeout(-1.0).deadline(), lot::never);
  EXPECT_EQ(Timeout(-1L).deadline(), lot::never);
  EXPECT_EQ(Timeout(-1.0f).deadline(), lot::never);
  EXPECT_TRUE(Timeout(-1).is_forever());
  EXPECT_FALSE(Timeout(1).is_forever());
}

TEST(Timeout, ANumberIsSeconds) {
  expect_away(2, 2 * second, 2 * second);
  expect_away(0.25, second / 4, second / 4);
  expect_away(1u, second, second);
}

TEST(Timeout, ADurationIsADuration) {
  expect_away(3ms, 3'000'000, 3'000'000);
  expect_away(2h, 7200 * second, 7200 * second);
  expect_away(std::chrono::duration<double>(0.5), second / 2, second / 2);
  expect_away(std::chrono::duration<int, std::ratio<1, 3>>(3), second, second);
}

TEST(Timeout, FractionsOfANanosecondRoundUp) {
  expect_away(1.5e-9, 2, 2);
  expect_away(1e-12, 1, 1);
  expect_away(std::chrono::duration<std::int64_t, std::pico>(1), 1, 1);
}

TEST(Timeout, ZeroIsInThePast) {
  EXPECT_EQ(Timeout(0).deadline(), 0);
  EXPECT_EQ(Timeout(0.0).deadline(), 0);
  EXPECT_EQ(Timeout(-0.0).deadline(), 0);
  EXPECT_EQ(Timeout(0ms).deadline(), 0);
}

TEST(Timeout, NegativeIsRefusedAndADurationOfMinusOneSecondTooWithCPythonsWords) {
  const char* words = "timeout value must be a non-negative number";
  EXPECT_EQ(text_of<std::invalid_argument>([] { Timeout(-2).deadline(); }), words);
  EXPECT_EQ(text_of<std::invalid_argument>([] { Timeout(-0.5).deadline(); }), words);
  EXPECT_EQ(text_of<std::invalid_argument>([] { Timeout(-1s).deadline(); }), words);
  EXPECT_EQ(text_of<std::invalid_argument>([] { Timeout(-1ns).deadline(); }), words);
  EXPECT_EQ(text_of<std::invalid_argument>(
                [] { Timeout(-std::numeric_limits<double>::infinity()).deadline(); }),
            words);
}

TEST(Timeout, NotANumberIsRefused) {
  const char* words = "Invalid value NaN (not a number)";
  EXPECT_EQ(text_of<std::invalid_argument>([] { Timeout(std::nan("")).deadline(); }), words);
  EXPECT_EQ(text_of<std::invalid_argument>(
                [] { Timeout(std::chrono::duration<double>(std::nan(""))).deadline(); }),
            words);
}

TEST(Timeout, TimeoutMaxIsTheLargestAccepted) {
  EXPECT_EQ(TIMEOUT_MAX, 9223372036.0);
  EXPECT_EQ(Timeout(TIMEOUT_MAX).deadline(), lot::never);  // more than the clock can count
  const char* words = "timeout value is too large";
  EXPECT_EQ(text_of<std::overflow_error>([] { Timeout(TIMEOUT_MAX + 1).deadline(); }), words);
  EXPECT_EQ(text_of<std::overflow_error>([] { Timeout(9223372037L).deadline(); }), words);
  EXPECT_EQ(text_of<std::overflow_error>(
                [] { Timeout(std::numeric_limits<double>::infinity()).deadline(); }),
            words);
  EXPECT_EQ(text_of<std::overflow_error>([] { Timeout(std::chrono::hours::max()).deadline(); }),
            words);
  EXPECT_EQ(text_of<std::overflow_error>(
                [] { Timeout(std::numeric_limits<std::uint64_t>::max()).deadline(); }),
            words);
}

TEST(Timeout, NonBlockingTakesNoTimeoutAndThatIsSaidBeforeItsSign) {
  const char* words = "can't specify a timeout for a non-blocking call";
  EXPECT_EQ(text_of<std::invalid_argument>([] { Timeout(1).deadline(false); }), words);
  EXPECT_EQ(text_of<std::invalid_argument>([] { Timeout(0).deadline(false); }), words);
  EXPECT_EQ(text_of<std::invalid_argument>([] { Timeout(-2).deadline(false); }), words);
  EXPECT_EQ(Timeout(-1).deadline(false), 0);
}

TEST(Moment, AfterADurationFollowsTheStandardAndNeverOverflows) {
  EXPECT_EQ(deadline_after(-5s), 0);
  EXPECT_EQ(deadline_after(0s), 0);
  EXPECT_EQ(deadline_after(std::chrono::hours::max()), lot::never);
  EXPECT_EQ(deadline_after(std::chrono::nanoseconds::max()), lot::never);
  EXPECT_EQ(deadline_after(std::chrono::hours::min()), 0);
  EXPECT_EQ(deadline_after(std::chrono::duration<double>(std::nan(""))), 0);
}

TEST(Moment, OfASteadyTimePointIsThatPoint) {
  using std::chrono::steady_clock;
  EXPECT_EQ(deadline_at(steady_clock::time_point(5ns)), 5);
  EXPECT_EQ(deadline_at(steady_clock::time_point::max()), lot::never);
  EXPECT_EQ(deadline_at(steady_clock::time_point::min()), 0);
}

// Their least common unit with nanoseconds does not hold them.
TEST(Moment, OfUnitsThatGoBadlyWithNanosecondsIsNoneTheLess) {
  using Ticks = std::chrono::duration<std::int64_t, std::ratio<1, 90'000>>;
  using Frames = std::chrono::duration<std::int64_t, std::ratio<1'001, 30'000>>;
  const std::int64_t years = 50LL * 365 * 24 * 3'600;
  const std::int64_t now = std::chrono::steady_clock::now().time_since_epoch().count();
  EXPECT_NEAR(static_cast<double>(deadline_after(Ticks(years * 90'000)) - now), 1e9 * years, 60e9);
  EXPECT_NEAR(static_cast<double>(Timeout(Ticks(years * 90'000)).deadline() - now), 1e9 * years,
              60e9);
  EXPECT_NEAR(static_cast<double>(deadline_after(Frames(years * 30'000 / 1'001)) - now),
              1e9 * years, 60e9);
  EXPECT_EQ(nanoseconds_of(Ticks(1)), 11'112);
  EXPECT_EQ(nanoseconds_of(Ticks(90'001)), 1'000'011'112);
  EXPECT_EQ(nanoseconds_of(std::chrono::duration<std::int64_t, std::femto>(1'000'001)), 2);
  EXPECT_EQ(nanoseconds_of(std::chrono::duration<std::int8_t, std::deci>(127)), 12'700'000'000);
}

TEST(Moment, OfAnotherClockThatIsFarAwayIsCountedRoughly) {
  using std::chrono::system_clock;
  const auto when = std::chrono::time_point<system_clock, std::chrono::seconds>(
      std::chrono::seconds(10'500'000'000));  // 2302
  const std::int64_t now = std::chrono::steady_clock::now().time_since_epoch().count();
  const double left =
      10.5e18 -
      static_cast<double>(std::chrono::nanoseconds(system_clock::now().time_since_epoch()).count());
  EXPECT_NEAR(static_cast<double>(deadline_by_its_clock(when) - now), left, 60e9);
}

}  // namespace
}  // namespace underthread
