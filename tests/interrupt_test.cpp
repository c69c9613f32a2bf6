#include <underthread/interrupt.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::eventually_waits;
using testing::text_of;

struct Stop {
  int number = 0;
};

bool stop(Ident ident, int number = 0) {
  return interrupt(ident, std::make_exception_ptr(Stop{number}));
}

TEST(Interrupt, EndsAWaitForALockWithoutTheLock) {
  Lock lock;
  lock.acquire();
  Thread waiter([&] { EXPECT_THROW(lock.acquire(), Stop); });
  ASSERT_TRUE(eventually_waits(waiter));
  EXPECT_TRUE(stop(waiter.ident()));
  waiter.join();
  EXPECT_EQ(lock.owner(), get_ident());
  lock.release();
}

TEST(Interrupt, EndsATimedWaitForALock) {
  Lock lock;
  lock.acquire();
  Thread waiter([&] { EXPECT_THROW((void)lock.acquire(true, 3600), Stop); });
  ASSERT_TRUE(eventually_waits(waiter));
  EXPECT_TRUE(stop(waiter.ident()));
  waiter.join();
  lock.release();
}

TEST(Interrupt, EndsAWaitForAnRLock) {
  RLock lock;
  lock.acquire();
  Thread waiter([&] {
    EXPECT_THROW(lock.acquire(), Stop);
    EXPECT_FALSE(lock.is_mine());
  });
  ASSERT_TRUE(eventually_waits(waiter));
  EXPECT_TRUE(stop(waiter.ident()));
  waiter.join();
  EXPECT_EQ(lock.count(), 1u);
  lock.release();
}

TEST(Interrupt, EndsAJoin) {
  Lock gate;
  gate.acquire();
  Thread slow([&] { gate.acquire(); });
  Thread joiner([&] { EXPECT_THROW(slow.join(), Stop); });
  ASSERT_TRUE(eventually_waits(joiner));
  EXPECT_TRUE(stop(joiner.ident()));
  joiner.join();
  EXPECT_FALSE(slow.is_done());
  gate.release();
  slow.join();
}

TEST(Interrupt, EndsASleep) {
  Thread sleeper([] { EXPECT_THROW(sleep_for(1h), Stop); });
  ASSERT_TRUE(eventually_waits(sleeper));
  EXPECT_TRUE(stop(sleeper.ident()));
  sleeper.join();
}

TEST(Interrupt, ReachesAThreadThatHasNotBegunYet) {
  for (int i = 0; i < 200; ++i) {
    Thread sleeper([] { EXPECT_THROW(sleep_for(1h), Stop); });
    EXPECT_TRUE(stop(sleeper.ident()));
    sleeper.join();
  }
}

TEST(Interrupt, ReachesARunningThreadAtItsNextSafePoint) {
  std::atomic<bool> stopped{false};
  Thread runner([&] {
    try {
      for (;;) check_interrupts();
    } catch (const Stop&) {
      stopped = true;
    }
  });
  EXPECT_TRUE(stop(runner.ident()));
  runner.join();
  EXPECT_TRUE(stopped);
}

TEST(Interrupt, IsDeliveredByAcquireBeforeAFreeLockIsTaken) {
  Lock lock;
  ASSERT_TRUE(stop(get_ident()));
  EXPECT_THROW(lock.acquire(), Stop);
  EXPECT_FALSE(lock.locked());
  ASSERT_TRUE(stop(get_ident()));
  EXPECT_THROW((void)lock.acquire(false), Stop);
  RLock rlock;
  rlock.acquire();
  ASSERT_TRUE(stop(get_ident()));
  EXPECT_THROW(rlock.acquire(), Stop);
  EXPECT_EQ(rlock.count(), 1u);
  rlock.release();
}

TEST(Interrupt, IsNotDeliveredByTheStandardsNames) {
  Lock lock;
  ASSERT_TRUE(stop(get_ident()));
  lock.lock();
  EXPECT_FALSE(lock.try_lock());
  EXPECT_FALSE(lock.try_lock_for(1ms));
  lock.unlock();
  RLock rlock;
  rlock.lock();
  rlock.unlock();
  EXPECT_THROW(check_interrupts(), Stop);
}

TEST(Interrupt, DoesNotEndAWaitByTheStandardsNames) {
  Lock lock;
  lock.acquire();
  std::atomic<bool> has_it{false};
  Thread waiter([&] {
    {
      const std::scoped_lock guard(lock);
      has_it = true;
    }
    EXPECT_THROW(check_interrupts(), Stop);
  });
  ASSERT_TRUE(eventually_waits(waiter));
  EXPECT_TRUE(stop(waiter.ident()));
  EXPECT_FALSE(has_it);
  lock.release();
  waiter.join();
  EXPECT_TRUE(has_it);
}

TEST(Interrupt, SeveralAreThrownOneByOneFirstSentFirst) {
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(stop(get_ident(), i));
  for (int i = 1; i <= 3; ++i) {
    try {
      check_interrupts();
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Stop& thrown) {
      EXPECT_EQ(thrown.number, i);
    }
  }
  check_interrupts();
}

TEST(Interrupt, ToNobodyIsFalse) {
  Ident ended = 0;
  Thread thread([&] { ended = get_ident(); });
  thread.join();
  EXPECT_FALSE(stop(ended));
  EXPECT_FALSE(stop(1));
}

TEST(Interrupt, WithoutAnExceptionIsRefused) {
  EXPECT_EQ(text_of<std::invalid_argument>([] { interrupt(get_ident(), nullptr); }),
            "no exception to interrupt with");
}

TEST(Interrupt, ReachesAThreadThatWeDidNotStartOnceItHasUsedTheLibrary) {
  std::atomic<Ident> ident{0};
  std::thread foreign([&] {
    get_native_id();
    ident = get_ident();
    EXPECT_THROW(sleep_for(1h), Stop);
  });
  ASSERT_TRUE(eventually([&] { return ident != 0; }));
  EXPECT_TRUE(stop(ident));
  foreign.join();
}

TEST(Interrupt, ThatNobodyCaughtEndsTheThreadAndIsGivenToWhoeverJoins) {
  const ExceptHook before = set_excepthook([](const ExceptHookArgs&) {});
  Thread sleeper([] { sleep_for(1h); });
  ASSERT_TRUE(stop(sleeper.ident()));
  EXPECT_THROW(sleeper.join(), Stop);
  set_excepthook(before);
}

TEST(Interrupt, OfSystemExitEndsAThreadSilently) {
  Thread sleeper([] { sleep_for(1h); });
  ASSERT_TRUE(interrupt(sleeper.ident(), std::make_exception_ptr(SystemExit())));
  sleeper.join();
}

TEST(Interrupt, ThatItsThreadDidNotLiveToTakeIsDestroyed) {
  auto token = std::make_shared<int>(1);
  struct Carries {
    std::shared_ptr<int> token;
  };
  Lock gate;
  gate.acquire();
  Thread thread([&] { gate.lock(); });
  ASSERT_TRUE(interrupt(thread.ident(), std::make_exception_ptr(Carries{token})));
  gate.release();
  thread.join();
  EXPECT_TRUE(eventually([&] { return token.use_count() == 1; }));
}

TEST(HoldInterrupts, HoldsThemOffAndTheyStayPending) {
  ASSERT_TRUE(stop(get_ident()));
  {
    const HoldInterrupts hold;
    check_interrupts();
    sleep_for(1ms);
    Lock lock;
    lock.acquire();
    {
      const HoldInterrupts again;
      EXPECT_FALSE(lock.acquire(true, 1ms));
    }
    check_interrupts();
  }
  EXPECT_THROW(check_interrupts(), Stop);
}

TEST(HoldInterrupts, HoldsOffOneThatComesDuringAWait) {
  Lock lock;
  lock.acquire();
  std::atomic<bool> has_it{false};
  Thread waiter([&] {
    {
      const HoldInterrupts hold;
      lock.acquire();
      has_it = true;
    }
    EXPECT_THROW(check_interrupts(), Stop);
  });
  ASSERT_TRUE(eventually_waits(waiter));
  ASSERT_TRUE(stop(waiter.ident()));
  EXPECT_FALSE(has_it);
  lock.release();
  waiter.join();
  EXPECT_TRUE(has_it);
}

// Without the scope the exception would meet `noexcept`, and the process would end.
TEST(HoldInterrupts, KeepsThemFromAFunctionThatMayNotThrow) {
  Lock lock;
  lock.acquire();
  bool has_it = false;
  Thread waiter([&] {
    const auto clean_up = [&]() noexcept {
      const HoldInterrupts hold;
      lock.acquire();
      has_it = true;
      sleep_for(1ms);
      lock.release();
    };
    clean_up();
    EXPECT_THROW(check_interrupts(), Stop);
  });
  ASSERT_TRUE(eventually_waits(waiter));
  ASSERT_TRUE(stop(waiter.ident()));
  lock.release();
  waiter.join();
  EXPECT_TRUE(has_it);
}

TEST(HoldInterruptsDeathTest, WithoutItAnExceptionThatMeetsNoexceptEndsTheProcess) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ASSERT_TRUE(stop(get_ident()));
  EXPECT_DEATH([]() noexcept { check_interrupts(); }(), "");
  EXPECT_THROW(check_interrupts(), Stop);
}

TEST(HoldInterrupts, HappensByItselfWhileTheStackIsUnwound) {
  struct Cleans {
    ~Cleans() { sleep_for(1ms); }  // a safe point in a destructor: throwing would end the process
  };
  ASSERT_TRUE(stop(get_ident()));
  const auto unwinds = [] {
    const Cleans cleans;
    throw std::runtime_error("first");
  };
  EXPECT_THROW(unwinds(), std::runtime_error);
  EXPECT_THROW(check_interrupts(), Stop);
}

TEST(TakeInterrupt, GivesWhatACheckWouldThrowAndNothingTwice) {
  EXPECT_EQ(take_interrupt(), nullptr);
  ASSERT_TRUE(stop(get_ident()));
  ASSERT_TRUE(interrupt(get_ident(), std::runtime_error("second")));
  std::exception_ptr first = take_interrupt();
  ASSERT_NE(first, nullptr);
  EXPECT_THROW(std::rethrow_exception(first), Stop);
  EXPECT_EQ(text_of<std::runtime_error>([] { check_interrupts(); }), "second");
  EXPECT_EQ(take_interrupt(), nullptr);
}

TEST(TakeInterrupt, GivesWhatAHandlerThrowsAndALimitThatIsOver) {
  signal(SIGUSR1, [](int) { throw Stop(); });
  interrupt_main(SIGUSR1);
  const TimeLimit limit(0);
  std::exception_ptr taken = take_interrupt();
  ASSERT_NE(taken, nullptr);
  EXPECT_THROW(std::rethrow_exception(taken), Stop);
  taken = take_interrupt();
  ASSERT_NE(taken, nullptr);
  EXPECT_THROW(std::rethrow_exception(taken), TimeoutError);
  EXPECT_EQ(take_interrupt(), nullptr);
  signal(SIGUSR1, default_action);
}

TEST(TakeInterrupt, WorksWhileInterruptsAreHeldOffAndWhileTheStackIsUnwound) {
  const HoldInterrupts hold;
  ASSERT_TRUE(stop(get_ident()));
  check_interrupts();
  EXPECT_NE(take_interrupt(), nullptr);
  struct Cleans {
    ~Cleans() { EXPECT_NE(take_interrupt(), nullptr); }
  };
  const auto unwinds = [] {
    const Cleans cleans;
    ASSERT_TRUE(stop(get_ident()));
    throw std::runtime_error("first");
  };
  EXPECT_THROW(unwinds(), std::runtime_error);
}

}  // namespace
}  // namespace underthread
