#include <underthread/sleep.h>

#include <chrono>

#include <gtest/gtest.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using std::chrono::steady_clock;
using std::chrono::system_clock;
using testing::eventually_waits;

struct Stop {};

TEST(Sleep, IsNeverShorterThanAsked) {
  for (int i = 0; i < 10; ++i) {
    const auto before = steady_clock::now();
    sleep_for(2ms);
    EXPECT_GE(steady_clock::now() - before, 2ms);
  }
}

TEST(Sleep, UntilAPointOfAnyClock) {
  const auto steady = steady_clock::now() + 2ms;
  sleep_until(steady);
  EXPECT_GE(steady_clock::now(), steady);
  const auto system = system_clock::now() + 2ms;
  sleep_until(system);
  EXPECT_GE(system_clock::now(), system);
}

TEST(Sleep, OfNothingOrLessReturnsAtOnce) {
  sleep_for(0s);
  sleep_for(-1h);
  sleep_until(steady_clock::time_point::min());
  sleep_until(system_clock::now() - 1h);
}

TEST(Sleep, ThatIsLongerThanTheClockCanCountIsForEverAndCanBeInterrupted) {
  Thread sleeper([] {
    EXPECT_THROW(sleep_for(std::chrono::hours::max()), Stop);
    EXPECT_THROW(sleep_until(steady_clock::time_point::max()), Stop);
    EXPECT_THROW(sleep_until(system_clock::time_point::max()), Stop);
  });
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(eventually_waits(sleeper));
    EXPECT_TRUE(interrupt(sleeper.ident(), std::make_exception_ptr(Stop{})));
    ASSERT_TRUE(testing::eventually([&] {
      bool pending = true;
      lot::find(sleeper.ident(),
                [&](lot::ThreadRecord& record) { pending = record.pending.load() != 0; });
      return !pending || sleeper.is_done();
    }));
  }
  sleeper.join();
}

TEST(Sleep, IsASafePointEvenForNoTime) {
  ASSERT_TRUE(interrupt(get_ident(), std::make_exception_ptr(Stop{})));
  EXPECT_THROW(sleep_for(0s), Stop);
}

TEST(Sleep, GoesOnForTheRestOfItsTimeWhenAnInterruptThrowsNothing) {
  Thread sleeper([] {
    const auto before = steady_clock::now();
    sleep_for(50ms);
    EXPECT_GE(steady_clock::now() - before, 50ms);
  });
  ASSERT_TRUE(eventually_waits(sleeper));
  for (int i = 0; i < 10; ++i)
    lot::find(sleeper.ident(), [](lot::ThreadRecord& record) { lot::interrupt(record); });
  sleeper.join();
}

}  // namespace
}  // namespace underthread
