#include <underthread/lock.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::eventually_waits;
using testing::text_of;

TEST(Lock, IsFourBytesAndStartsUnlocked) {
  static_assert(sizeof(Lock) == 4);
  static_assert(std::is_same_v<LockType, Lock>);
  Lock lock = allocate_lock();
  EXPECT_FALSE(lock.locked());
  EXPECT_EQ(lock.owner(), 0u);
}

TEST(Lock, CanBeAConstantInitializedStatic) {
  static constinit Lock lock;
  EXPECT_TRUE(lock.acquire());
  lock.release();
}

TEST(Lock, AcquireLocksAndReleaseUnlocks) {
  Lock lock;
  EXPECT_TRUE(lock.acquire());
  EXPECT_TRUE(lock.locked());
  EXPECT_EQ(lock.owner(), get_ident());
  lock.release();
  EXPECT_FALSE(lock.locked());
  EXPECT_EQ(lock.owner(), 0u);
}

TEST(Lock, ATryOnALockedLockFailsAtOnceAlsoForItsHolder) {
  Lock lock;
  ASSERT_TRUE(lock.acquire());
  EXPECT_FALSE(lock.acquire(false));
  EXPECT_FALSE(lock.acquire(true, 0));
  EXPECT_FALSE(lock.try_lock());
  std::thread([&] { EXPECT_FALSE(lock.acquire(false)); }).join();
  EXPECT_TRUE(lock.locked());
  EXPECT_EQ(lock.owner(), get_ident());
  lock.release();
}

TEST(Lock, ReleaseOfAnUnlockedLockIsAnErrorAndChangesNothing) {
  Lock lock;
  EXPECT_EQ(text_of<error>([&] { lock.release(); }), "release unlocked lock");
  EXPECT_EQ(text_of<error>([&] { lock.unlock(); }), "release unlocked lock");
  std::thread([&] {  // a thread without a record of its own
    EXPECT_EQ(text_of<error>([&] { lock.release(); }), "release unlocked lock");
  })
      .join();
  EXPECT_FALSE(lock.locked());
  EXPECT_TRUE(lock.acquire(false));
  lock.release();
}

TEST(Lock, AnyThreadMayRelease) {
  Lock lock;
  ASSERT_TRUE(lock.acquire());
  std::thread([&] { lock.release(); }).join();
  EXPECT_FALSE(lock.locked());
}

TEST(Lock, AnyKindOfHoldMayBeEndedByEitherName) {
  Lock lock;
  lock.acquire();
  lock.unlock();
  lock.lock();
  lock.release();
  lock.lock();
  std::thread([&] { lock.unlock(); }).join();
  EXPECT_FALSE(lock.locked());
}

TEST(Lock, TheFastPathsLeaveWhatIsNotTheirsAsItIs) {
  Lock lock;
  EXPECT_FALSE(lock.release_fast(Hold::bare)) << "nobody holds it";
  std::thread([&] {  // a thread without a record of its own
    EXPECT_FALSE(lock.acquire_fast(Hold::bare));
    EXPECT_FALSE(lock.release_fast(Hold::scoped));
  })
      .join();
  EXPECT_FALSE(lock.locked());

  ASSERT_TRUE(lock.acquire(false));
  EXPECT_FALSE(lock.acquire_fast(Hold::bare)) << "it is held";
  EXPECT_FALSE(lock.release_fast(Hold::scoped)) << "it is not held so";
  Thread([&] { EXPECT_FALSE(lock.release_fast(Hold::bare)) << "another holds it"; }).join();
  EXPECT_TRUE(lock.is_mine());
  EXPECT_TRUE(lock.release_fast(Hold::bare));
  EXPECT_TRUE(lock.acquire_fast(Hold::scoped));
  EXPECT_TRUE(lock.is_mine());

  Thread waiter([&] {
    lock.lock();
    lock.unlock();
  });
  ASSERT_TRUE(eventually_waits(waiter));
  EXPECT_FALSE(lock.release_fast(Hold::scoped)) << "somebody waits, and has to be woken";
  EXPECT_TRUE(lock.is_mine());
  lock.give_up(Hold::scoped);
  waiter.join();
}

TEST(Lock, AReleaseWakesAWaiter) {
  Lock lock;
  lock.acquire();
  Thread waiter([&] {
    EXPECT_TRUE(lock.acquire());
    lock.release();
  });
  ASSERT_TRUE(eventually_waits(waiter));
  EXPECT_EQ(testing::waits_for(waiter.ident()), &lock);
  lock.release();
  waiter.join();
  EXPECT_FALSE(lock.locked());
}

TEST(Lock, AThreadMayAcquireTwiceAndBeReleasedByAnotherAsConditionWaitDoes) {
  Lock lock;
  Thread waiter([&] {
    lock.acquire();
    lock.acquire();  // until the other releases
    EXPECT_EQ(lock.owner(), get_ident());
    lock.release();
  });
  ASSERT_TRUE(eventually_waits(waiter));
  lock.release();
  waiter.join();
  EXPECT_FALSE(lock.locked());
}

TEST(Lock, ATimedAcquireGivesUpWhenItsTimeIsUpAndNotBefore) {
  Lock lock;
  lock.acquire();
  for (const Timeout timeout : {Timeout(0.005), Timeout(5ms)}) {
    const auto before = std::chrono::steady_clock::now();
    EXPECT_FALSE(lock.acquire(true, timeout));
    EXPECT_GE(std::chrono::steady_clock::now() - before, 5ms);
  }
  EXPECT_TRUE(lock.locked());
  lock.release();
  EXPECT_FALSE(lock.locked());
}

TEST(Lock, ATimedAcquireTakesAReleasedLock) {
  Lock lock;
  lock.acquire();
  Thread waiter([&] {
    EXPECT_TRUE(lock.acquire(true, 3600));
    lock.release();
  });
  ASSERT_TRUE(eventually_waits(waiter));
  lock.release();
  waiter.join();
}

TEST(Lock, TimeoutMaxIsAccepted) {
  Lock lock;
  EXPECT_TRUE(lock.acquire(true, TIMEOUT_MAX));
  Thread waiter([&] { EXPECT_TRUE(lock.acquire(true, TIMEOUT_MAX)); });
  ASSERT_TRUE(eventually_waits(waiter));
  lock.release();
  waiter.join();
}

TEST(Lock, BadTimeoutsAreRefusedWithCPythonsWordsAndChangeNothing) {
  Lock lock;
  for (const bool held : {false, true}) {
    if (held) lock.acquire();
    EXPECT_EQ(text_of<std::invalid_argument>([&] { (void)lock.acquire(false, 1); }),
              "can't specify a timeout for a non-blocking call");
    EXPECT_EQ(text_of<std::invalid_argument>([&] { (void)lock.acquire(true, -2); }),
              "timeout value must be a non-negative number");
    EXPECT_EQ(text_of<std::invalid_argument>([&] { (void)lock.acquire(true, std::nan("")); }),
              "Invalid value NaN (not a number)");
    EXPECT_EQ(text_of<std::overflow_error>([&] { (void)lock.acquire(true, 1e20); }),
              "timeout value is too large");
    EXPECT_EQ(lock.locked(), held);
  }
  lock.release();
}

TEST(Lock, WorksWithTheStandardsGuards) {
  Lock a;
  Lock b;
  {
    const std::scoped_lock both(a, b);
    EXPECT_TRUE(a.locked());
    EXPECT_TRUE(b.locked());
  }
  {
    std::unique_lock guard(a, std::defer_lock);
    EXPECT_TRUE(guard.try_lock_for(1ms));
    guard.unlock();
    EXPECT_TRUE(guard.try_lock_until(std::chrono::steady_clock::now() + 1ms));
    guard.unlock();
    EXPECT_TRUE(guard.try_lock_until(std::chrono::system_clock::now() + 1ms));
    EXPECT_TRUE(guard.owns_lock());
  }
  EXPECT_FALSE(a.locked());
  EXPECT_FALSE(b.locked());
}

TEST(Lock, TryLockForFollowsTheStandardOnLongAndNegativeTimes) {
  Lock lock;
  EXPECT_TRUE(lock.try_lock_for(-1s));
  EXPECT_FALSE(lock.try_lock_for(-1s));
  EXPECT_FALSE(lock.try_lock_until(std::chrono::steady_clock::time_point::min()));
  EXPECT_FALSE(lock.try_lock_until(std::chrono::system_clock::now() - 1h));
  Thread waiter([&] {
    EXPECT_TRUE(lock.try_lock_for(std::chrono::hours::max()));
    lock.unlock();
    EXPECT_TRUE(lock.try_lock_until(std::chrono::steady_clock::time_point::max()));
  });
  ASSERT_TRUE(eventually_waits(waiter));
  lock.unlock();
  waiter.join();
}

TEST(Lock, TryLockUntilASystemTimeWaitsThatLong) {
  Lock lock;
  lock.lock();
  const auto until = std::chrono::system_clock::now() + 5ms;
  EXPECT_FALSE(lock.try_lock_until(until));
  EXPECT_GE(std::chrono::system_clock::now(), until);
}

TEST(Lock, WorksWithAConditionVariable) {
  Lock lock;
  std::condition_variable_any changed;
  bool ready = false;
  Thread waiter([&] {
    std::unique_lock guard(lock);
    changed.wait(guard, [&] { return ready; });
  });
  {
    const std::scoped_lock guard(lock);
    ready = true;
  }
  changed.notify_one();
  waiter.join();
}

TEST(Lock, AWaiterThatHasWaitedAMillisecondIsHandedTheLock) {
  Lock lock;
  lock.acquire();
  std::atomic<bool> has_it{false};
  Lock gate;
  gate.acquire();
  Thread waiter([&] {
    lock.acquire();
    has_it = true;
    gate.acquire();
    lock.release();
  });
  ASSERT_TRUE(eventually_waits(waiter));
  const auto since = std::chrono::steady_clock::now();
  ASSERT_TRUE(eventually([&] { return std::chrono::steady_clock::now() - since > 2ms; }));
  lock.release();
  // Handed over, so it is never free in between, and it is the waiter's before it runs.
  EXPECT_FALSE(lock.acquire(false));
  EXPECT_EQ(lock.owner(), waiter.ident());
  ASSERT_TRUE(eventually([&] { return has_it.load(); }));
  gate.release();
  waiter.join();
}

TEST(Lock, AThreadThatTakesItAgainAndAgainDoesNotStarveAnother) {
  Lock lock;
  std::atomic<bool> stop{false};
  Thread greedy([&] {
    while (!stop) {
      const std::scoped_lock guard(lock);
      for (int i = 0; i < 1'000; ++i) static_cast<void>(stop.load());
    }
  });
  for (int i = 0; i < 50; ++i) {
    lock.acquire();
    lock.release();
  }
  stop = true;
  greedy.join();
}

TEST(Lock, ReleasesByTwoThreadsAtOnceUnlockOnceAndRefuseOnce) {
  for (int round = 0; round < 500; ++round) {
    Lock lock;
    lock.acquire();
    std::atomic<int> refused{0};
    const auto release = [&] {
      try {
        lock.release();
      } catch (const error&) {
        ++refused;
      }
    };
    std::thread other(release);
    release();
    other.join();
    EXPECT_EQ(refused, 1);
    EXPECT_FALSE(lock.locked());
  }
}

TEST(Lock, ReleasesByTwoThreadsAtOnceWithAWaiterEndNoMoreHoldsThanThereWere) {
  for (int round = 0; round < 300; ++round) {
    Lock lock;
    lock.acquire();
    Thread waiter([&] { lock.acquire(); });
    ASSERT_TRUE(eventually_waits(waiter));
    std::atomic<int> ready{0};
    std::atomic<int> ended{0};
    const auto release = [&] {
      ++ready;
      while (ready != 2) std::this_thread::yield();
      try {
        lock.release();
        ++ended;
      } catch (const error&) {
      }
    };
    std::thread other(release);
    release();
    other.join();
    waiter.join();
    // Two acquired it: this thread and the waiter. Each release that was not refused ended one
    // hold.
    ASSERT_EQ(lock.locked(), ended == 1) << "round " << round;
  }
}

TEST(Lock, WhatWasHandedToAWaiterAndReleasedByAThirdThreadCountsAsTaken) {
  // The waiter's acquire happened even if it finds the lock released again when it runs.
  Lock lock;
  lock.acquire();
  Thread waiter([&] { EXPECT_TRUE(lock.acquire()); });
  ASSERT_TRUE(eventually_waits(waiter));
  const auto since = std::chrono::steady_clock::now();
  ASSERT_TRUE(eventually([&] { return std::chrono::steady_clock::now() - since > 2ms; }));
  lock.release();  // handed over
  lock.release();  // the waiter's
  EXPECT_TRUE(lock.acquire(false));
  waiter.join();
  lock.release();
}

TEST(Lock, AnOwnerThatHasEndedIsNobody) {
  Lock lock;
  std::thread([&] { lock.acquire(); }).join();
  EXPECT_TRUE(lock.locked());
  EXPECT_EQ(lock.owner(), 0u);
  lock.release();
  EXPECT_FALSE(lock.locked());
}

TEST(Lock, ReinitializedInAForksChildItIsUnlocked) {
  Lock lock;
  lock.acquire();
  lock.at_fork_reinit();
  EXPECT_FALSE(lock.locked());
}

}  // namespace
}  // namespace underthread
