#include <underthread/snapshot.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::eventually_waits;

ThreadSeen seen(const Thread& thread) {
  const Snapshot all = snapshot();
  const ThreadSeen* const found = all.find(thread.ident());
  return found ? *found : ThreadSeen();
}

TEST(Snapshot, SaysWhoWaitsForWhichLockAndWhoHoldsIt) {
  Lock lock;
  const LockName name(lock, "accounts");
  lock.lock();
  const Thread waiter({.name = "waiter"}, [&] { lock.acquire(), lock.release(); });
  ASSERT_TRUE(eventually_waits(waiter));
  const ThreadSeen thread = seen(waiter);
  EXPECT_EQ(thread.name, "waiter");
  EXPECT_EQ(thread.native_id, waiter.native_id());
  EXPECT_FALSE(thread.is_main);
  ASSERT_TRUE(thread.wait);
  EXPECT_EQ(thread.wait->kind, "lock");
  EXPECT_EQ(thread.wait->name, "accounts");
  EXPECT_EQ(thread.wait->address, &lock);
  EXPECT_EQ(thread.wait->blocker, get_ident());
  EXPECT_TRUE(thread.wait->only_it_can);
  EXPECT_TRUE(thread.wait->interrupts_end_it);
  EXPECT_FALSE(thread.wait->left);
  EXPECT_GT(thread.wait->lasted, 0ns);

  const Snapshot all = snapshot();
  ASSERT_EQ(all.locks.size(), 1u);
  EXPECT_EQ(all.locks[0].waiting, 1u);
  EXPECT_EQ(all.locks[0].holder, get_ident());
  EXPECT_GT(all.locks[0].held, 0ns);
  EXPECT_TRUE(all.threads[0].is_main);
  EXPECT_FALSE(all.threads[0].wait);
  lock.unlock();
}

TEST(Snapshot, KnowsEveryKindOfWait) {
  RLock rlock;
  rlock.acquire();
  Lock lock;
  lock.acquire();
  const Thread at_rlock([&] { EXPECT_FALSE(rlock.acquire(true, 60)); });
  const Thread sleeper([] { sleep_for(1h); });
  const Thread joiner([&] { sleeper.join(); });
  const Thread guard([&] { const std::scoped_lock waits(lock); });
  for (const Thread* thread : {&at_rlock, &sleeper, &joiner, &guard})
    ASSERT_TRUE(eventually_waits(*thread));
  EXPECT_EQ(seen(at_rlock).wait->kind, "rlock");
  ASSERT_TRUE(seen(at_rlock).wait->left);
  EXPECT_LE(*seen(at_rlock).wait->left, 60s);
  EXPECT_EQ(seen(sleeper).wait->kind, "sleep");
  EXPECT_FALSE(seen(sleeper).wait->has_blocker);
  EXPECT_FALSE(seen(sleeper).wait->address);
  EXPECT_EQ(seen(joiner).wait->kind, "join");
  EXPECT_EQ(seen(joiner).wait->blocker, sleeper.ident());
  EXPECT_EQ(seen(guard).wait->kind, "lock");
  EXPECT_FALSE(seen(guard).wait->only_it_can) << "a bare hold";
  EXPECT_FALSE(seen(guard).wait->interrupts_end_it);
  lock.release();
  sleeper.interrupt();
  at_rlock.interrupt();
}

TEST(Snapshot, SaysWhoHoldsInterruptsOff) {
  const HoldInterrupts hold;
  EXPECT_TRUE(snapshot().find(get_ident())->holds_interrupts);
}

TEST(Snapshot, ALockWithANameIsInItThoughNobodyWaits) {
  RLock lock;
  {
    const LockName first(lock, "first");
    LockName second(lock, "second");
    ASSERT_EQ(snapshot().locks.size(), 1u);
    EXPECT_EQ(snapshot().locks[0].name, "second") << "the newest";
    EXPECT_EQ(snapshot().locks[0].kind, "rlock");
    EXPECT_FALSE(snapshot().locks[0].is_held);
    const std::scoped_lock guard(lock);
    EXPECT_EQ(snapshot().locks[0].holder, get_ident());
    const LockName moved = std::move(second);
    EXPECT_EQ(snapshot().locks[0].name, "second");
  }
  EXPECT_TRUE(snapshot().locks.empty());
}

TEST(Snapshot, TheOlderNameIsBackWhereTheNewerIsGoneAndTheOtherWayRound) {
  Lock lock;
  auto first = std::make_unique<LockName>(lock, "first");
  auto second = std::make_unique<LockName>(lock, "second");
  auto third = std::make_unique<LockName>(lock, "third");
  second.reset();
  EXPECT_EQ(snapshot().locks[0].name, "third");
  third.reset();
  EXPECT_EQ(snapshot().locks[0].name, "first");
}

TEST(Snapshot, ItsTextBeginsWithWhatMattersMost) {
  Lock lock;
  const LockName name(lock, "accounts");
  lock.lock();
  const Thread one({.name = "one"}, [&] { lock.acquire(), lock.release(); });
  ASSERT_TRUE(eventually_waits(one));
  const std::string text = snapshot().text();
  EXPECT_TRUE(
      text.starts_with("2 threads: 1 in waits of underthread, 1 elsewhere\n"
                       "most waited for: lock 'accounts', by 1 thread; "
                       "the main thread has held it for "))
      << text;
  EXPECT_NE(text.find("\n  one (ident "), std::string::npos) << text;
  EXPECT_NE(text.find(" for lock 'accounts', held by the main thread\n"), std::string::npos)
      << text;
  lock.unlock();
}

TEST(Snapshot, AForksChildHasOneThread) {
  Lock lock;
  lock.lock();
  const Thread waiter([&] { lock.acquire(), lock.release(); });
  ASSERT_TRUE(eventually_waits(waiter));
  EXPECT_EQ(testing::status_of_child([] {
              const Snapshot all = snapshot();
              return all.threads.size() == 1 && all.threads[0].is_main && all.locks.empty();
            }),
            0);
  lock.unlock();
}

// Threads that start, end, wait, hand over. No holder is named that cannot have been one.
TEST(Snapshot, NamesNoFalseHolderBesideAStorm) {
  constexpr int workers = 8;
  Lock locks[3];
  RLock rlock;
  std::atomic<bool> is_over = false;
  std::vector<Thread> threads;
  for (int number = 0; number < workers; ++number)
    threads.emplace_back([&, number] {
      for (int turn = number; !is_over; ++turn) {
        Lock& lock = locks[turn % 3];
        if (turn % 7 == 0) {
          Thread([&] { const std::scoped_lock guard(lock, rlock); }).join();
        } else if (turn % 5 == 0) {
          if (lock.acquire(100us)) lock.release();
        } else {
          const std::scoped_lock guard(lock);
        }
      }
    });
  for (int turn = 0; turn < 3'000; ++turn) {
    const Snapshot all = snapshot();
    for (const ThreadSeen& thread : all.threads) {
      if (!thread.wait || !thread.wait->address) continue;
      const void* const address = thread.wait->address;
      ASSERT_TRUE((address >= &locks[0] && address <= &locks[2]) || address == &rlock ||
                  thread.wait->kind == "lock");
      ASSERT_NE(thread.wait->blocker, thread.ident) << "nobody here takes what it holds";
      ASSERT_NE(thread.wait->blocker, get_ident());
    }
  }
  is_over = true;
}

}  // namespace
}  // namespace underthread
