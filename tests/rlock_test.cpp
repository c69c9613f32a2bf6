#include <underthread/rlock.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <thread>

#include <gtest/gtest.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually_waits;
using testing::text_of;

TEST(RLock, IsEightBytesAndStartsUnlocked) {
  static_assert(sizeof(RLock) == 8);
  RLock lock;
  EXPECT_FALSE(lock.locked());
  EXPECT_EQ(lock.count(), 0u);
}

TEST(RLock, ItsHolderMayAcquireItAgainAndMustReleaseAsOften) {
  RLock lock;
  EXPECT_TRUE(lock.acquire());
  EXPECT_TRUE(lock.acquire());
  EXPECT_TRUE(lock.acquire(false));
  EXPECT_TRUE(lock.acquire(true, 0));
  EXPECT_EQ(lock.count(), 4u);
  EXPECT_EQ(lock.owner(), get_ident());
  for (int i = 0; i < 4; ++i) {
    EXPECT_TRUE(lock.locked());
    lock.release();
  }
  EXPECT_FALSE(lock.locked());
  EXPECT_EQ(lock.count(), 0u);
  EXPECT_EQ(lock.owner(), 0u);
}

TEST(RLock, AnotherThreadCanNeitherTakeNorReleaseIt) {
  RLock lock;
  lock.acquire();
  std::thread([&] {
    EXPECT_FALSE(lock.acquire(false));
    EXPECT_FALSE(lock.acquire(true, 1ms));
    EXPECT_FALSE(lock.try_lock());
    EXPECT_FALSE(lock.is_mine());
    EXPECT_EQ(text_of<error>([&] { lock.release(); }), "cannot release un-acquired lock");
    EXPECT_EQ(text_of<error>([&] { lock.release_save(); }), "cannot release un-acquired lock");
  }).join();
  EXPECT_EQ(lock.count(), 1u);
  EXPECT_TRUE(lock.is_mine());
  lock.release();
  EXPECT_EQ(text_of<error>([&] { lock.release(); }), "cannot release un-acquired lock");
}

TEST(RLock, TheLastReleaseWakesAWaiter) {
  RLock lock;
  lock.acquire();
  lock.acquire();
  std::atomic<bool> has_it{false};
  Thread waiter([&] {
    lock.acquire();
    has_it = true;
    lock.release();
  });
  ASSERT_TRUE(eventually_waits(waiter));
  lock.release();
  EXPECT_FALSE(has_it);
  lock.release();
  waiter.join();
  EXPECT_TRUE(has_it);
}

TEST(RLock, BadTimeoutsAreRefusedAlsoForItsHolder) {
  RLock lock;
  lock.acquire();
  EXPECT_EQ(text_of<std::invalid_argument>([&] { (void)lock.acquire(false, 1); }),
            "can't specify a timeout for a non-blocking call");
  EXPECT_EQ(text_of<std::overflow_error>([&] { (void)lock.acquire(true, 1e20); }),
            "timeout value is too large");
  EXPECT_EQ(lock.count(), 1u);
  lock.release();
}

TEST(RLock, CanBeLetGoWhollyAndTakenBackAsConditionWaitDoes) {
  RLock lock;
  lock.acquire();
  lock.acquire();
  EXPECT_EQ(lock.release_save(), 2u);
  EXPECT_FALSE(lock.locked());
  lock.acquire_restore(2);
  EXPECT_EQ(lock.count(), 2u);
  EXPECT_TRUE(lock.is_mine());
  lock.release();
  lock.release();
}

TEST(RLock, TheFastPathTakesWhatIsFreeOrHeldHereAndNothingElse) {
  RLock lock;
  std::thread([&] { EXPECT_FALSE(lock.acquire_fast()); }).join();  // it has no record of its own
  EXPECT_FALSE(lock.locked());
  get_native_id();  // from here on this thread has one
  EXPECT_TRUE(lock.acquire_fast());
  EXPECT_TRUE(lock.acquire_fast());
  EXPECT_EQ(lock.count(), 2u);
  Thread([&] { EXPECT_FALSE(lock.acquire_fast()); }).join();
  EXPECT_EQ(lock.count(), 2u);
  EXPECT_TRUE(lock.is_mine());
  lock.release();
  lock.release();
  EXPECT_FALSE(lock.locked());
}

TEST(RLock, MoreHoldsThanItCanCountAreRefused) {
  RLock lock;
  lock.acquire_restore(4'294'967'295u);
  EXPECT_EQ(text_of<std::overflow_error>([&] { lock.acquire(); }),
            "Internal lock count overflowed");
  EXPECT_FALSE(lock.acquire_fast());
  EXPECT_EQ(lock.count(), 4'294'967'295u);
  EXPECT_EQ(lock.release_save(), 4'294'967'295u);
}

TEST(RLock, WorksWithTheStandardsGuardsAndConditionVariable) {
  RLock lock;
  std::condition_variable_any changed;
  bool ready = false;
  Thread waiter([&] {
    std::unique_lock guard(lock);
    changed.wait(guard, [&] { return ready; });
  });
  {
    const std::scoped_lock guard(lock);
    const std::scoped_lock again(lock);
    ready = true;
  }
  changed.notify_one();
  waiter.join();
  std::unique_lock guard(lock, std::defer_lock);
  EXPECT_TRUE(guard.try_lock_for(1ms));
  guard.unlock();
  EXPECT_TRUE(guard.try_lock_until(std::chrono::system_clock::now()));
}

TEST(RLock, ReinitializedInAForksChildItIsUnlocked) {
  RLock lock;
  lock.acquire();
  lock.acquire();
  lock.at_fork_reinit();
  EXPECT_FALSE(lock.locked());
  EXPECT_EQ(lock.count(), 0u);
}

}  // namespace
}  // namespace underthread
