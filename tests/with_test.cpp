#include <underthread/with.h>

#include <chrono>

#include <gtest/gtest.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually_waits;

struct Stop {};

template <class L>
class WithTest : public ::testing::Test {};
using Locks = ::testing::Types<Lock, RLock>;
TYPED_TEST_SUITE(WithTest, Locks);

TYPED_TEST(WithTest, HoldsTheLockWhileItExists) {
  TypeParam lock;
  {
    const With with(lock);
    EXPECT_TRUE(with);
    EXPECT_EQ(lock.owner(), get_ident());
  }
  EXPECT_FALSE(lock.locked());
}

TYPED_TEST(WithTest, LetsTheLockGoWhenAnExceptionLeaves) {
  TypeParam lock;
  const auto fails = [&] {
    const With with(lock);
    throw Stop();
  };
  EXPECT_THROW(fails(), Stop);
  EXPECT_FALSE(lock.locked());
}

TYPED_TEST(WithTest, AnInterruptEndsItsWait) {
  TypeParam lock;
  const With held(lock);
  Thread waiter([&] {
    const auto waits = [&] { const With with(lock); };
    EXPECT_THROW(waits(), Stop);
  });
  ASSERT_TRUE(eventually_waits(waiter));
  ASSERT_TRUE(waiter.interrupt(Stop()));
  waiter.join();
  EXPECT_EQ(lock.owner(), get_ident());
}

TYPED_TEST(WithTest, ATimeLimitEndsItsWait) {
  TypeParam lock;
  const With held(lock);
  Thread([&] {
    const auto waits = [&] {
      const TimeLimit limit(1ms);
      const With with(lock);
    };
    EXPECT_THROW(waits(), TimeoutError);
  }).join();
}

TYPED_TEST(WithTest, SaysWhetherItHasItWithinItsLimit) {
  TypeParam lock;
  Thread([&] {
    const With held(lock, 1h);
    EXPECT_TRUE(held);
    Thread([&] {
      const With with(lock, 1ms);
      EXPECT_FALSE(with);
      EXPECT_THROW(static_cast<void>(With(lock, -5)), std::invalid_argument);
    }).join();
    EXPECT_TRUE(lock.locked());
  }).join();
  EXPECT_FALSE(lock.locked());
}

}  // namespace
}  // namespace underthread
