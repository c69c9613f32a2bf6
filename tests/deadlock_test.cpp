#include <underthread/deadlock.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::eventually_sleeps;
using testing::text_of;

/// What was told, in the order in which it was.
class Deadlocks : public ::testing::Test {
 protected:
  Deadlocks() {
    before_ = set_deadlock_handler([this](const Deadlock& deadlock) {
      const std::scoped_lock guard(mutex_);
      told_.push_back(deadlock);
      if (raises_) raise_deadlock(deadlock);
    });
  }
  ~Deadlocks() override { set_deadlock_handler(before_); }

  std::vector<Deadlock> told() {
    const std::scoped_lock guard(mutex_);
    return told_;
  }

  Lock a;
  Lock b;
  bool raises_ = false;

 private:
  Lock mutex_;
  std::vector<Deadlock> told_;
  DeadlockHandler before_;
};

std::vector<Ident> idents(const Deadlock& deadlock) {
  std::vector<Ident> all;
  for (const ThreadSeen& thread : deadlock.threads) all.push_back(thread.ident);
  return all;
}

// A thread that holds `mine` as a scoped hold and waits for `other`, until it is interrupted.
template <class Mine, class Other>
Thread holder(Mine& mine, Other& other) {
  Thread thread([&] {
    const std::scoped_lock guard(mine);
    other.acquire();
    other.release();
  });
  EXPECT_TRUE(eventually_sleeps(thread));
  return thread;
}

TEST_F(Deadlocks, TwoThreadsThatWaitForEachOtherAreToldByTheOneThatClosesTheCycle) {
  a.lock();
  const Thread other = holder(b, a);
  EXPECT_TRUE(told().empty());
  {
    const TimeLimit limit(50ms);
    // For ever but for the limit, which makes it one of the timed.
    EXPECT_THROW(b.acquire(), TimeoutError);
  }
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(told()[0].kind, Deadlock::Kind::timed);
  EXPECT_EQ(idents(told()[0]), (std::vector<Ident>{get_ident(), other.ident()}));
  a.unlock();
}

TEST_F(Deadlocks, OneThatNothingEndsIsCertainAndCanBeRaised) {
  raises_ = true;
  const LockName name_a(a, "accounts");
  const LockName name_b(b, "orders");
  a.lock();
  const Thread other({.name = "other"}, [this] {
    const std::scoped_lock guard(b);
    const std::scoped_lock waits(a);
  });
  ASSERT_TRUE(eventually_sleeps(other));
  const std::string text = text_of<DeadlockError>([this] { b.acquire(); });
  EXPECT_TRUE(text.starts_with("deadlock: 2 threads wait for each other\n")) << text;
  EXPECT_NE(text.find("for lock 'orders', held by other"), std::string::npos) << text;
  EXPECT_NE(text.find("for lock 'accounts', held by "), std::string::npos) << text;
  EXPECT_EQ(a.owner(), get_ident()) << "it keeps what it holds";
  a.unlock();
  other.join();
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(told()[0].kind, Deadlock::Kind::certain);
}

TEST_F(Deadlocks, AScopedHoldThatIsTakenAgainIsOneOfOneThread) {
  raises_ = true;
  const std::scoped_lock guard(a);
  EXPECT_THROW(a.lock(), DeadlockError);
  EXPECT_THROW(a.acquire(), DeadlockError);
  ASSERT_EQ(told().size(), 2u);
  EXPECT_EQ(idents(told()[0]), std::vector<Ident>{get_ident()});
  EXPECT_NE(told()[0].text().find("a thread waits for itself"), std::string::npos);
}

TEST_F(Deadlocks, ABareHoldThatIsTakenAgainIsNone) {
  // As a semaphore's or a condition's is: another thread releases it.
  const Thread waiter([this] {
    a.acquire();
    a.acquire();
  });
  ASSERT_TRUE(eventually_sleeps(waiter));
  EXPECT_TRUE(told().empty());
  a.release();
  waiter.join();
  a.release();
}

TEST_F(Deadlocks, AWaitThatEndsByItselfIsNeverRaised) {
  raises_ = true;
  a.lock();
  const Thread other({}, [this] {
    const std::scoped_lock guard(b);
    const std::scoped_lock waits(a);
  });
  ASSERT_TRUE(eventually_sleeps(other));
  EXPECT_FALSE(b.acquire(5ms));
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(told()[0].kind, Deadlock::Kind::timed);
  a.unlock();
}

TEST_F(Deadlocks, ABareHoldMakesItPossibleOnly) {
  raises_ = true;
  a.lock();
  std::atomic<bool> is_over = false;
  const Thread releaser([&] {
    // Any thread may, and so nothing is certain.
    ASSERT_TRUE(eventually([this] { return !told().empty(); }));
    b.release();
    is_over = true;
  });
  Thread other([this] {
    b.acquire();
    const std::scoped_lock waits(a);
  });
  ASSERT_TRUE(eventually_sleeps(other));
  EXPECT_TRUE(b.acquire());
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(told()[0].kind, Deadlock::Kind::possible);
  b.release();
  a.unlock();
  releaser.join();
  EXPECT_TRUE(is_over);
}

TEST_F(Deadlocks, AJoinIsAnEdge) {
  raises_ = true;
  Thread waiter;
  std::atomic<bool> may_begin = false;
  a.lock();
  waiter = Thread([&] {
    while (!may_begin) std::this_thread::yield();
    const std::scoped_lock waits(a);
  });
  may_begin = true;
  ASSERT_TRUE(eventually_sleeps(waiter));
  EXPECT_THROW(waiter.join(), DeadlockError);
  a.unlock();
  waiter.join();
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(told()[0].threads[0].wait->kind, "join");
}

TEST_F(Deadlocks, AnRLockIsAnEdge) {
  raises_ = true;
  RLock r;
  a.lock();
  const Thread other({}, [&] {
    r.acquire();
    const std::scoped_lock waits(a);
    r.release();
  });
  ASSERT_TRUE(eventually_sleeps(other));
  EXPECT_THROW(r.acquire(), DeadlockError);
  a.unlock();
  EXPECT_EQ(told()[0].kind, Deadlock::Kind::certain);
  EXPECT_EQ(told()[0].threads[0].wait->kind, "rlock");
}

TEST_F(Deadlocks, WhoWaitsBehindOneIsNoPartOfIt) {
  Lock may_go;
  may_go.acquire();
  const Thread one([&] {
    const std::scoped_lock guard(a);
    may_go.acquire();
    b.acquire();
  });
  ASSERT_TRUE(eventually_sleeps(one));
  const Thread other = holder(b, a);
  const Thread before([this] { b.acquire(), b.release(); });
  ASSERT_TRUE(eventually_sleeps(before));
  EXPECT_TRUE(told().empty()) << "its path leads to a thread that waits for a bare hold";
  may_go.release();
  ASSERT_TRUE(eventually([this] { return told().size() == 1; }));
  ASSERT_TRUE(eventually_sleeps(one));
  EXPECT_EQ(idents(told()[0]), (std::vector<Ident>{one.ident(), other.ident()}));
  // Into the cycle, and round it once.
  EXPECT_FALSE(a.acquire(5ms));
  EXPECT_FALSE(b.acquire(5ms));
  EXPECT_EQ(told().size(), 1u);
  one.interrupt();
}

TEST_F(Deadlocks, WhoTriesAgainAndAgainIsToldOnceUntilItWaitsForEver) {
  raises_ = true;
  a.lock();
  const Thread other = holder(b, a);
  for (int turn = 0; turn < 3; ++turn) EXPECT_FALSE(b.acquire(1ms));
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(told()[0].kind, Deadlock::Kind::timed);
  EXPECT_THROW(b.acquire(), DeadlockError);
  EXPECT_EQ(told().size(), 2u);
  a.unlock();
}

TEST_F(Deadlocks, OneOfManyThreadsNamesAllOfThem) {
  raises_ = true;
  constexpr int count = 50;
  std::vector<Lock> locks(count);
  locks[0].lock();
  std::vector<Thread> threads;
  for (std::size_t i = 1; i < count; ++i) {
    threads.emplace_back([&locks, i] {
      const std::scoped_lock guard(locks[i]);
      const std::scoped_lock waits(locks[i - 1]);
    });
    ASSERT_TRUE(eventually_sleeps(threads.back()));
  }
  EXPECT_THROW(locks[count - 1].acquire(), DeadlockError);
  locks[0].unlock();
  ASSERT_EQ(told().size(), 1u);
  EXPECT_EQ(told()[0].threads.size(), std::size_t{count});
}

TEST_F(Deadlocks, AThreadThatEndsWithALockIsTold) {
  raises_ = true;
  Thread([this] { a.lock(); }).join();
  EXPECT_THROW(a.acquire(), DeadlockError);
  EXPECT_TRUE(told()[0].is_orphaned);
  EXPECT_NE(told()[0].text().find("held by a thread that has ended"), std::string::npos);
}

TEST_F(Deadlocks, WhatAnEndedThreadAcquiredMayBeReleasedByAnother) {
  Thread([this] { a.acquire(); }).join();
  EXPECT_FALSE(a.acquire(5ms));
  EXPECT_TRUE(told().empty());
}

TEST_F(Deadlocks, AThreadThatAForkHasLeftBehindIsTold) {
  raises_ = true;
  std::atomic<bool> may_end = false;
  const Thread other([&] {
    const std::scoped_lock guard(a);
    while (!may_end) std::this_thread::yield();
  });
  ASSERT_TRUE(eventually([this] { return a.locked(); }));
  const int status = testing::status_of_child([this] {
    try {
      a.acquire();
    } catch (const DeadlockError&) {
      return told().at(0).is_orphaned;
    }
    return false;
  });
  EXPECT_EQ(status, 0);
  may_end = true;
}

TEST_F(Deadlocks, WhereNobodyWantsToHearOfThemNoneIsLookedFor) {
  set_deadlock_handler(nullptr);
  const std::scoped_lock guard(a);
  const TimeLimit limit(5ms);
  EXPECT_THROW(a.acquire(), TimeoutError);
  EXPECT_TRUE(told().empty());
}

TEST(DeadlockHandler, TheFirstWritesToStderr) {
  ::testing::internal::CaptureStderr();
  {
    Lock lock;
    const LockName name(lock, "log");
    const std::scoped_lock guard(lock);
    const Thread ends({}, [] {});
    const DeadlockHandler before = set_deadlock_handler([](const Deadlock& deadlock) {
      report_deadlock(deadlock);
      throw DeadlockError("so that the test goes on");
    });
    EXPECT_THROW(lock.acquire(), DeadlockError);
    set_deadlock_handler(before);
  }
  const std::string text = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(text.starts_with("underthread: deadlock: a thread waits for itself\n  main thread "))
      << text;
  EXPECT_TRUE(text.ends_with("for lock 'log', which it holds itself\n")) << text;
}

}  // namespace
}  // namespace underthread
