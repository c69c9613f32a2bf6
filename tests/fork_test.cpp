// Real forks of a process with many threads in every state.
#include "lot/fork.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::eventually_waits;
using testing::status_of_child;
using testing::text_of;

std::uint64_t kernel_id() {
  return static_cast<std::uint64_t>(syscall(SYS_gettid));
}

struct Stop {};

class Fork : public ::testing::Test {
 protected:
  void SetUp() override {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP()
        << "ThreadSanitizer stops looking in the child of a process with threads, and then "
           "takes what the child's new threads do for races";
#endif
  }
};

/// Under AddressSanitizer a child whose parent's other threads allocate can hang in its first
/// malloc: the lock of the sanitizer's allocator is copied as it is
/// (SizeClassAllocator64::GetFromAllocator).
class ForkInTraffic : public Fork {
 protected:
  void SetUp() override {
#ifdef __SANITIZE_ADDRESS__
    GTEST_SKIP() << "AddressSanitizer's allocator does not survive a fork of threads that allocate";
#endif
    Fork::SetUp();
  }
};

/// Threads that lock, wait, time out, start and end while it exists, so that a fork finds the lot
/// and the registry in the middle of things.
class Traffic {
 public:
  Traffic() {
    for (int i = 0; i < 2; ++i)
      threads_.emplace_back([this] {
        while (!stop_) {
          const std::scoped_lock guard(contended_);
          check_interrupts();
        }
      });
    threads_.emplace_back([this] {
      while (!stop_) {
        contended_.try_lock_for(50us) ? contended_.unlock() : void();
        sleep_for(20us);
      }
    });
    threads_.emplace_back([this] {
      while (!stop_) Thread([] { set_excepthook({}); }).join();
    });
    threads_.emplace_back([this] {
      while (!stop_) interrupt(1, std::make_exception_ptr(Stop{}));
    });
  }
  ~Traffic() { stop_ = true; }
  Traffic(const Traffic&) = delete;
  Traffic& operator=(const Traffic&) = delete;

 private:
  Lock contended_;
  std::atomic<bool> stop_{false};
  std::vector<Thread> threads_;
};

bool everything_works() {
  Lock lock;
  lock.acquire();
  Thread waiter([&] {
    lock.acquire();
    lock.release();
  });
  if (!eventually_waits(waiter)) return false;
  lock.release();
  waiter.join();
  if (waiter.native_id() == kernel_id()) return false;

  Thread sleeper([] {
    try {
      sleep_for(1h);
    } catch (const Stop&) {
    }
  });
  if (!interrupt(sleeper.ident(), std::make_exception_ptr(Stop{}))) return false;
  sleeper.join();

  set_excepthook([](const ExceptHookArgs&) {});
  bool thrown = false;
  try {
    Thread([] { throw 1; }).join();
  } catch (int) {
    thrown = true;
  }
  std::atomic<bool> ran{false};
  start_new_thread([&] { ran = true; });
  return thrown && eventually([&] { return ran.load(); });
}

TEST_F(ForkInTraffic, TheChildCanDoEverythingWhateverTheOthersWereDoing) {
  const Traffic traffic;
  for (int i = 0; i < 60; ++i) ASSERT_EQ(status_of_child(everything_works), 0) << "fork " << i;
}

TEST_F(ForkInTraffic, AThreadOtherThanTheFirstMayFork) {
  const Traffic traffic;
  Thread([] {
    for (int i = 0; i < 20; ++i) EXPECT_EQ(status_of_child(everything_works), 0) << "fork " << i;
  }).join();
}

TEST_F(ForkInTraffic, AChildMayForkAgain) {
  const Traffic traffic;
  EXPECT_EQ(status_of_child([] {
              return everything_works() && status_of_child([] {
                                             return everything_works() &&
                                                    status_of_child(everything_works) == 0;
                                           }) == 0;
            }),
            0);
}

TEST_F(Fork, NativeIdIsFreshAtOnceAndTheIdentStays) {
  const std::uint64_t parent = get_native_id();
  const Ident ident = get_ident();
  EXPECT_EQ(status_of_child([=] {
              return get_native_id() == kernel_id() && get_native_id() != parent &&
                     get_ident() == ident;
            }),
            0);
  EXPECT_EQ(get_native_id(), parent);
}

TEST_F(Fork, WhatTheForkingThreadHeldItStillHolds) {
  Lock lock;
  RLock rlock;
  lock.acquire();
  rlock.acquire();
  rlock.acquire();
  EXPECT_EQ(status_of_child([&] {
              const bool held = lock.locked() && lock.owner() == get_ident() && rlock.is_mine() &&
                                rlock.count() == 2;
              lock.release();
              rlock.release();
              rlock.release();
              return held && !lock.locked() && !rlock.locked();
            }),
            0);
  EXPECT_TRUE(lock.locked());
  EXPECT_EQ(rlock.count(), 2u);
  lock.release();
  rlock.release();
  rlock.release();
}

TEST_F(Fork, ALockWithWaitersInTheParentCanBeReleasedInTheChild) {
  Lock lock;
  lock.acquire();
  std::vector<Thread> waiters;
  for (int i = 0; i < 3; ++i) {
    waiters.emplace_back([&] {
      lock.acquire();
      lock.release();
    });
    ASSERT_TRUE(eventually_waits(waiters.back()));
  }
  EXPECT_EQ(status_of_child([&] {
              lock.release();
              return !lock.locked() && lock.acquire(false);
            }),
            0);
  lock.release();
}

TEST_F(Fork, WhatAnotherThreadHeldStaysLockedAndItsOwnerIsNobody) {
  Lock lock;
  Lock gate;
  gate.acquire();
  Thread holder([&] {
    lock.acquire();
    gate.acquire();
    lock.release();
  });
  ASSERT_TRUE(eventually_waits(holder));
  EXPECT_EQ(lock.owner(), holder.ident());
  EXPECT_EQ(status_of_child([&] {
              if (!lock.locked() || lock.owner() != 0) return false;
              if (lock.acquire(false) || lock.acquire(true, 5ms)) return false;
              lock.at_fork_reinit();
              return lock.acquire(false);
            }),
            0);
  gate.release();
}

TEST_F(Fork, AThreadThatDidNotSurviveIsDoneAndJoiningItDoesNotHang) {
  Lock gate;
  gate.acquire();
  auto thread = std::make_unique<Thread>([&] { gate.acquire(); });
  const std::uint64_t native_id = thread->native_id();
  EXPECT_EQ(status_of_child([&] {
              if (!thread->is_done() || !thread->join(0)) return false;
              thread->join();
              const bool kept = thread->native_id() == native_id;
              thread.reset();
              return kept;
            }),
            0);
  EXPECT_FALSE(thread->is_done());
  gate.release();
}

TEST_F(Fork, AThreadThatHasEndedButWasNotJoinedCanBeJoinedInTheChild) {
  Thread thread([] {});
  ASSERT_TRUE(eventually([&] { return thread.is_done(); }));
  EXPECT_EQ(status_of_child([&] {
              thread.join();
              return true;
            }),
            0);
}

TEST_F(Fork, TheForkingThreadIsAliveInTheChildAndMainThere) {
  std::unique_ptr<Thread> forker;
  Lock ready;
  ready.acquire();
  forker = std::make_unique<Thread>([&] {
    ready.acquire();
    EXPECT_EQ(status_of_child([&] {
                if (forker->is_done()) return false;
                signal(SIGUSR1, [](int) { throw Stop{}; });
                Thread other([] { interrupt_main(SIGUSR1); });
                try {
                  sleep_for(1h);
                } catch (const Stop&) {
                  return true;
                }
                return false;
              }),
              0);
  });
  ready.release();
  forker->join();
}

TEST_F(Fork, InterruptsOfBeforeTheForkAreTheParents) {
  int calls = 0;
  signal(SIGUSR1, [&](int) { ++calls; });
  interrupt_main(SIGUSR1);
  interrupt(get_ident(), std::make_exception_ptr(Stop{}));
  EXPECT_EQ(status_of_child([&] {
              check_interrupts();
              if (calls != 0) return false;
              // The next one brings nothing of them with it.
              interrupt_main(SIGUSR1);
              check_interrupts();
              return calls == 1;
            }),
            0);
  EXPECT_THROW(check_interrupts(), Stop);
  EXPECT_EQ(calls, 1);
  signal(SIGUSR1, default_action);
}

TEST_F(Fork, AForkByAThreadThatNeverUsedTheLibraryLeavesItsChildAMainThread) {
  signal(SIGUSR1, [](int) { throw Stop{}; });
  std::thread([] {
    EXPECT_EQ(status_of_child([] {
                raise(SIGUSR1);
                try {
                  sleep_for(1h);
                } catch (const Stop&) {
                  return true;
                }
                return false;
              }),
              0);
  }).join();
  signal(SIGUSR1, default_action);
}

TEST_F(Fork, AnInterruptToAThreadThatDidNotSurviveIsToNobody) {
  Lock gate;
  gate.acquire();
  Thread thread([&] { gate.acquire(); });
  ASSERT_TRUE(eventually_waits(thread));
  EXPECT_EQ(status_of_child([&] {
              return !interrupt(thread.ident(), std::make_exception_ptr(Stop{})) &&
                     lot::live_count() == 1;
            }),
            0);
  gate.release();
}

TEST_F(Fork, AThreadThatForksCanBeInterruptedThroughItsHandleInTheChild) {
  Thread* self = nullptr;
  std::atomic<bool> is_made{false};
  Thread forks([&] {
    while (!is_made) std::this_thread::yield();
    EXPECT_EQ(status_of_child([&] {
                if (!self->interrupt(Stop())) return false;
                try {
                  sleep_for(1h);
                } catch (const Stop&) {
                  return true;
                }
                return false;
              }),
              0);
  });
  self = &forks;
  is_made = true;
  forks.join();
}

}  // namespace
}  // namespace underthread
