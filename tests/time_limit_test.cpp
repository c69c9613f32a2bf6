#include <underthread/time_limit.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <utility>

#include <gtest/gtest.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually_waits;
using testing::text_of;

struct Stop {};

void wait_until_over(const TimeLimit& limit) {
  while (!limit.expired()) {
  }
}

TEST(TimeLimit, EndsAWaitForALockWithoutTheLock) {
  Lock lock;
  lock.acquire();
  Thread waiter([&] {
    const TimeLimit limit(5ms);
    EXPECT_EQ(text_of<TimeoutError>([&] { lock.acquire(); }), "the time limit of 0.005 s is over");
    EXPECT_TRUE(limit.expired());
  });
  waiter.join();
  EXPECT_EQ(lock.owner(), get_ident());
  lock.release();
}

TEST(TimeLimit, EndsEveryOtherWait) {
  RLock rlock;
  Lock gate;
  gate.acquire();
  rlock.acquire();
  Thread slow([&] { gate.acquire(); });
  Thread waiter([&] {
    const auto in_time = [](auto wait) {
      const TimeLimit limit(1ms);
      EXPECT_THROW(wait(), TimeoutError);
    };
    in_time([&] { rlock.acquire(); });
    in_time([&] { (void)gate.acquire(true, 3600); });
    in_time([&] { slow.join(); });
    in_time([] { sleep_for(1h); });
  });
  waiter.join();
  gate.release();
  slow.join();
}

TEST(TimeLimit, IsToldToAThreadThatDoesNotWait) {
  const TimeLimit limit(1ms);
  EXPECT_THROW(for (;;) check_interrupts(), TimeoutError);
  Lock free_lock;
  const TimeLimit another(0s);
  EXPECT_THROW(free_lock.acquire(), TimeoutError);
  EXPECT_FALSE(free_lock.locked());
  RLock free_rlock;
  const TimeLimit third(0s);
  EXPECT_THROW(free_rlock.acquire(), TimeoutError);
}

TEST(TimeLimit, IsToldOnce) {
  const TimeLimit limit(0s);
  EXPECT_THROW(check_interrupts(), TimeoutError);
  check_interrupts();
  sleep_for(1ms);
}

TEST(TimeLimit, IsNotToldOnceItIsGone) {
  {
    const TimeLimit limit(1ms);
    wait_until_over(limit);
  }
  check_interrupts();
  sleep_for(1ms);
}

TEST(TimeLimit, DoesNothingBeforeItIsOver) {
  const TimeLimit limit(1h);
  Lock lock;
  lock.acquire();
  EXPECT_FALSE(lock.acquire(true, 1ms));
  sleep_for(1ms);
  check_interrupts();
  EXPECT_FALSE(limit.expired());
}

TEST(TimeLimit, OfMinusOneIsNone) {
  const TimeLimit limit(-1);
  check_interrupts();
  EXPECT_FALSE(limit.expired());
}

TEST(TimeLimit, OfWhatIsNoTimeIsRefused) {
  EXPECT_THROW(static_cast<void>(TimeLimit(-2)), std::invalid_argument);
  EXPECT_THROW(static_cast<void>(TimeLimit(2 * TIMEOUT_MAX)), std::overflow_error);
  check_interrupts();
}

TEST(TimeLimit, TheOneThatIsOverFirstIsToldFirstWhicheverIsInside) {
  const TimeLimit outer(1ms);
  {
    const TimeLimit inner(1h);
    EXPECT_THROW(sleep_for(1h), TimeoutError);
    EXPECT_FALSE(inner.expired());
  }
  EXPECT_TRUE(outer.expired());
  {
    const TimeLimit inner(1ms);
    EXPECT_THROW(sleep_for(1h), TimeoutError);
    EXPECT_TRUE(inner.expired());
  }
  check_interrupts();
}

TEST(TimeLimit, SaysWhichItWas) {
  for (const auto& [timeout, text] :
       {std::pair<Timeout, const char*>{0.25, "the time limit of 0.25 s is over"},
        {1ms, "the time limit of 0.001 s is over"},
        {1us, "the time limit of 1e-06 s is over"},
        {0, "the time limit of 0 s is over"},
        {std::chrono::steady_clock::now(), "the time limit is over"}}) {
    const TimeLimit limit(timeout);
    EXPECT_EQ(text_of<TimeoutError>([] { sleep_for(1h); }), text);
  }
}

TEST(TimeLimit, OfTwoThatAreOverTogetherTheOuterIsToldAndNothingIsLeftBehindTheInner) {
  const auto when = std::chrono::steady_clock::now() + 1ms;
  const TimeLimit outer(when);
  {
    const TimeLimit inner(when);
    EXPECT_THROW(sleep_for(1h), TimeoutError);
  }
  check_interrupts();
}

TEST(TimeLimit, EachOfTwoThatAreOverIsTold) {
  const TimeLimit outer(1ms);
  const TimeLimit inner(1ms);
  wait_until_over(inner);
  EXPECT_THROW(check_interrupts(), TimeoutError);
  EXPECT_THROW(check_interrupts(), TimeoutError);
  check_interrupts();
}

TEST(TimeLimit, AWaitOfItsOwnThatIsOverBeforeReturnsAsItWould) {
  Lock lock;
  lock.acquire();
  const TimeLimit limit(1h);
  EXPECT_FALSE(lock.acquire(true, 0.001));
  EXPECT_FALSE(lock.acquire(false));
}

TEST(TimeLimit, IsHeldOffWithInterruptsAndToldAfterwards) {
  const TimeLimit limit(1ms);
  {
    const HoldInterrupts hold;
    wait_until_over(limit);
    check_interrupts();
    sleep_for(1ms);
    Lock lock;
    lock.acquire();
    EXPECT_FALSE(lock.acquire(true, 1ms));
  }
  EXPECT_THROW(check_interrupts(), TimeoutError);
}

TEST(TimeLimit, IsHeldOffWhileTheStackIsUnwound) {
  struct Cleans {
    ~Cleans() { sleep_for(1ms); }
  };
  const TimeLimit limit(0s);
  const auto unwinds = [] {
    const Cleans cleans;
    throw std::runtime_error("first");
  };
  EXPECT_THROW(unwinds(), std::runtime_error);
  EXPECT_THROW(check_interrupts(), TimeoutError);
}

TEST(TimeLimit, IsOfItsThreadAlone) {
  const TimeLimit limit(0s);
  Thread other([] {
    check_interrupts();
    sleep_for(1ms);
  });
  {
    const HoldInterrupts hold;
    other.join();
  }
  EXPECT_THROW(check_interrupts(), TimeoutError);
}

TEST(TimeLimit, AnInterruptThatCameIsThrownBeforeIt) {
  const TimeLimit limit(0s);
  interrupt(get_ident(), std::make_exception_ptr(Stop()));
  EXPECT_THROW(check_interrupts(), Stop);
  EXPECT_THROW(check_interrupts(), TimeoutError);
}

TEST(TimeLimit, AnInterruptEndsAWaitWithinIt) {
  Thread sleeper([] {
    const TimeLimit limit(1h);
    EXPECT_THROW(sleep_for(1h), Stop);
  });
  ASSERT_TRUE(eventually_waits(sleeper));
  interrupt(sleeper.ident(), std::make_exception_ptr(Stop()));
  sleeper.join();
}

// A lock that is handed over just as the time is up is kept, or not taken: never lost.
TEST(TimeLimit, LosesNoLockThatIsReleasedJustAsItIsOver) {
  Lock lock;
  for (int turn = 0; turn < 500; ++turn) {
    lock.acquire();
    std::atomic<bool> has_it{false};
    Thread waiter([&] {
      const TimeLimit limit(std::chrono::microseconds(50 + turn % 200));
      try {
        lock.acquire();
        has_it = true;
      } catch (const TimeoutError&) {
      }
    });
    sleep_for(std::chrono::microseconds(50));
    lock.release();
    waiter.join();
    EXPECT_EQ(lock.locked(), has_it);
    if (has_it) lock.release();
  }
}

TEST(TimeLimit, GoesOnInTheChildOfAFork) {
  const TimeLimit limit(20ms);
  EXPECT_EQ(testing::status_of_child([] {
              try {
                sleep_for(1h);
              } catch (const TimeoutError&) {
                return true;
              }
              return false;
            }),
            0);
}

}  // namespace
}  // namespace underthread
