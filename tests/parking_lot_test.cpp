#include "lot/parking_lot.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <pthread.h>

#include "os/futex.h"
#include "os/native_thread.h"
#include "test_support.h"

namespace underthread::lot {
namespace {

using testing::eventually;
using testing::eventually_waits;
using testing::waits_for;

constexpr std::int64_t millisecond = 1'000'000;

const auto always = [] { return true; };

/// A thread that parks once, and how that ended.
class Sleeper {
 public:
  explicit Sleeper(const void* key, Wait wait = {}, std::uint32_t token = 0)
      : thread_([this, key, wait, token] {
          Wait mine = wait;
          ThreadRecord& me = *current();
          ident_ = os::thread_ident();
          end_ = park(me, key, always, mine, token);
          done_ = true;
          pending_ = me.pending.load() != 0;
        }) {
    EXPECT_TRUE(eventually([this] { return ident_.load() != 0; }));
  }

  bool is_parked() const { return eventually_waits(ident_); }
  bool is_done() const { return done_; }
  std::uintptr_t ident() const { return ident_; }
  ThreadRecord* record() const {
    return find(ident_, [](ThreadRecord&) {});
  }
  bool pending_after() const { return pending_; }

  ParkEnd join() {
    thread_.join();
    return end_;
  }

 private:
  std::atomic<std::uintptr_t> ident_{0};
  std::atomic<bool> done_{false};
  std::atomic<bool> pending_{false};
  ParkEnd end_ = ParkEnd::refused;
  std::thread thread_;
};

const auto wake_first = [](const Queue&) { return Choice::wake; };

TEST(ParkingLot, UnparkOneWakesAParkedThread) {
  int key = 0;
  Sleeper sleeper(&key);
  ASSERT_TRUE(sleeper.is_parked());
  EXPECT_EQ(waits_for(sleeper.ident()), &key);
  unpark_one(&key, wake_first);
  EXPECT_EQ(sleeper.join(), ParkEnd::unparked);
}

TEST(ParkingLot, ARefusedThreadDoesNotSleep) {
  int key = 0;
  Wait wait;
  const auto no = [] { return false; };
  EXPECT_EQ(park(*current(), &key, no, wait), ParkEnd::refused);
  bool seen = true;
  unpark_one(&key, [&](const Queue& queue) {
    seen = queue.first != nullptr;
    return Choice::wake;
  });
  EXPECT_FALSE(seen);
}

TEST(ParkingLot, AThreadWhoseTimeIsUpLeavesTheQueue) {
  int key = 0;
  Wait wait{.until = os::now() + millisecond};
  EXPECT_EQ(park(*current(), &key, always, wait), ParkEnd::timed_out);
  EXPECT_GE(os::now(), wait.until);
  EXPECT_EQ(unpark_all(&key), 0u);
}

TEST(ParkingLot, TheFirstToComeIsTheFirstToBeChosen) {
  int key = 0;
  std::vector<std::unique_ptr<Sleeper>> sleepers;
  for (int i = 0; i < 5; ++i) {
    sleepers.push_back(std::make_unique<Sleeper>(&key));
    ASSERT_TRUE(sleepers.back()->is_parked());
  }
  for (std::size_t i = 0; i < sleepers.size(); ++i) {
    ThreadRecord* chosen = nullptr;
    bool others = false;
    unpark_one(&key, [&](const Queue& queue) {
      chosen = queue.first->thread;
      others = queue.more;
      return Choice::wake;
    });
    EXPECT_EQ(sleepers[i]->join(), ParkEnd::unparked) << i;
    EXPECT_EQ(others, i + 1 < sleepers.size());
    EXPECT_NE(chosen, nullptr);
  }
}

TEST(ParkingLot, WhoWaitsLongestComesFirstEvenIfItQueuedAgainLater) {
  int key = 0;
  const std::int64_t now = os::now();
  // In the queue by when their wait began, whatever the order of arrival: 3 1 4 2 0.
  const int order[] = {3, 1, 4, 2, 0};
  std::vector<std::unique_ptr<Sleeper>> sleepers(5);
  for (const int i : order) {
    sleepers[static_cast<std::size_t>(i)] =
        std::make_unique<Sleeper>(&key, Wait{.since = now + i}, static_cast<std::uint32_t>(i + 10));
    ASSERT_TRUE(sleepers[static_cast<std::size_t>(i)]->is_parked());
  }
  for (std::uint32_t i = 0; i < 5; ++i) {
    std::uint32_t token = 0;
    unpark_one(&key, [&](const Queue& queue) {
      token = queue.first->token;
      return Choice::wake;
    });
    EXPECT_EQ(token, i + 10);
    sleepers[i]->join();
  }
}

TEST(ParkingLot, LeavingFromAnyPlaceKeepsTheOthersInOrder) {
  for (std::size_t leaver = 0; leaver < 4; ++leaver) {
    int key = 0;
    std::vector<std::unique_ptr<Sleeper>> sleepers;
    for (std::uint32_t i = 0; i < 4; ++i) {
      sleepers.push_back(std::make_unique<Sleeper>(&key, Wait{.wake_for = WakeFor::interrupts}, i));
      ASSERT_TRUE(sleepers.back()->is_parked());
    }
    interrupt(*sleepers[leaver]->record());
    EXPECT_EQ(sleepers[leaver]->join(), ParkEnd::interrupted);
    for (std::uint32_t i = 0; i < 4; ++i) {
      if (i == leaver) continue;
      std::uint32_t token = 99;
      unpark_one(&key, [&](const Queue& queue) {
        token = queue.first->token;
        return Choice::wake;
      });
      EXPECT_EQ(token, i);
      EXPECT_EQ(sleepers[i]->join(), ParkEnd::unparked);
    }
    EXPECT_EQ(unpark_all(&key), 0u);
  }
}

TEST(ParkingLot, WhatIsHandedOverIsTold) {
  int key = 0;
  Sleeper sleeper(&key);
  ASSERT_TRUE(sleeper.is_parked());
  unpark_one(&key, [](const Queue&) { return Choice::hand_over; });
  EXPECT_EQ(sleeper.join(), ParkEnd::handed_over);
}

TEST(ParkingLot, LeavingTheFirstAloneWakesNobody) {
  int key = 0;
  Sleeper sleeper(&key);
  ASSERT_TRUE(sleeper.is_parked());
  unpark_one(&key, [](const Queue&) { return Choice::leave; });
  EXPECT_FALSE(sleeper.is_done());
  EXPECT_EQ(unpark_all(&key), 1u);
  EXPECT_EQ(sleeper.join(), ParkEnd::unparked);
}

TEST(ParkingLot, UnparkAllWakesAllOfTheKeyAndNobodyElse) {
  int key = 0;
  int other = 0;
  Sleeper stays(&other);
  ASSERT_TRUE(stays.is_parked());
  std::vector<std::unique_ptr<Sleeper>> sleepers;
  for (int i = 0; i < 10; ++i) {
    sleepers.push_back(std::make_unique<Sleeper>(&key));
    ASSERT_TRUE(sleepers.back()->is_parked());
  }
  EXPECT_EQ(unpark_all(&key), 10u);
  for (auto& sleeper : sleepers) EXPECT_EQ(sleeper->join(), ParkEnd::unparked);
  EXPECT_FALSE(stays.is_done());
  EXPECT_EQ(unpark_all(&other), 1u);
  stays.join();
}

TEST(ParkingLot, AnInterruptEndsAWaitThatAllowsIt) {
  int key = 0;
  Sleeper sleeper(&key, {.wake_for = WakeFor::interrupts});
  ASSERT_TRUE(sleeper.is_parked());
  interrupt(*sleeper.record());
  EXPECT_EQ(sleeper.join(), ParkEnd::interrupted);
  EXPECT_TRUE(sleeper.pending_after());
}

TEST(ParkingLot, AnInterruptThatIsPendingEndsAWaitBeforeItBegins) {
  int key = 0;
  ThreadRecord& me = *current();
  interrupt(me);
  Wait wait{.wake_for = WakeFor::interrupts};
  EXPECT_EQ(park(me, &key, always, wait), ParkEnd::interrupted);
  EXPECT_TRUE(take_pending(me));
}

TEST(ParkingLot, AnInterruptDoesNotEndAWaitThatForbidsIt) {
  int key = 0;
  Sleeper sleeper(&key);
  ASSERT_TRUE(sleeper.is_parked());
  for (int i = 0; i < 100; ++i) {
    interrupt(*sleeper.record());
    std::this_thread::yield();
  }
  EXPECT_FALSE(sleeper.is_done());
  unpark_one(&key, wake_first);
  EXPECT_EQ(sleeper.join(), ParkEnd::unparked);
  EXPECT_TRUE(sleeper.pending_after());
}

TEST(ParkingLot, AThreadThatWasChosenStaysChosenAndTheInterruptStaysPending) {
  for (int round = 0; round < 2'000; ++round) {
    int key = 0;
    Sleeper sleeper(&key, {.wake_for = WakeFor::interrupts});
    ASSERT_TRUE(sleeper.is_parked());
    ThreadRecord* record = sleeper.record();
    bool chosen = false;
    std::thread interrupter([&] { interrupt(*record); });
    unpark_one(&key, [&](const Queue& queue) {
      chosen = queue.first != nullptr;
      return Choice::hand_over;
    });
    interrupter.join();
    const ParkEnd end = sleeper.join();
    EXPECT_EQ(end, chosen ? ParkEnd::handed_over : ParkEnd::interrupted);
  }
}

TEST(ParkingLot, AThreadWhoseTimeIsUpAsItIsChosenIsChosen) {
  int chosen_count = 0;
  for (int round = 0; round < 2'000; ++round) {
    int key = 0;
    std::atomic<ParkEnd> end{ParkEnd::refused};
    std::thread sleeper([&] {
      Wait wait{.until = os::now() + 20'000};
      end = park(*current(), &key, always, wait);
    });
    bool chosen = false;
    while (!chosen && end == ParkEnd::refused)
      unpark_one(&key, [&](const Queue& queue) {
        chosen = queue.first != nullptr;
        return Choice::hand_over;
      });
    sleeper.join();
    EXPECT_EQ(end, chosen ? ParkEnd::handed_over : ParkEnd::timed_out);
    chosen_count += chosen;
  }
  EXPECT_GT(chosen_count, 0);
}

extern "C" void do_nothing(int) {}

TEST(ParkingLot, ASignalEndsAWaitOnlyWhereThatWasAsked) {
  struct sigaction action = {};
  struct sigaction before = {};
  action.sa_handler = do_nothing;
  sigaction(SIGUSR1, &action, &before);
  {
    int key = 0;
    Sleeper deaf(&key, {.wake_for = WakeFor::interrupts});
    Sleeper keen(&key, {.wake_for = WakeFor::interrupts_and_signals});
    ASSERT_TRUE(deaf.is_parked());
    ASSERT_TRUE(keen.is_parked());
    ASSERT_TRUE(eventually([&] {
      pthread_kill(static_cast<pthread_t>(deaf.ident()), SIGUSR1);
      if (!keen.is_done()) pthread_kill(static_cast<pthread_t>(keen.ident()), SIGUSR1);
      return keen.is_done();
    }));
    EXPECT_EQ(keen.join(), ParkEnd::interrupted);
    EXPECT_FALSE(keen.pending_after());
    EXPECT_FALSE(deaf.is_done());
    EXPECT_EQ(unpark_all(&key), 1u);
    EXPECT_EQ(deaf.join(), ParkEnd::unparked);
  }
  sigaction(SIGUSR1, &before, nullptr);
}

TEST(ParkingLot, EachOfManySleepersIsWokenByItsOwnKey) {
  // About two keys a bucket: neighbours in the tree come and go around each.
  constexpr std::size_t count = 500;
  std::vector<char> keys(count);
  std::vector<std::unique_ptr<Sleeper>> sleepers;
  for (char& key : keys) sleepers.push_back(std::make_unique<Sleeper>(&key));
  for (auto& sleeper : sleepers) ASSERT_TRUE(sleeper->is_parked());
  for (std::size_t i = count; i-- > 0;) {
    EXPECT_EQ(unpark_all(&keys[i]), 1u);
    EXPECT_EQ(sleepers[i]->join(), ParkEnd::unparked);
  }
}

}  // namespace
}  // namespace underthread::lot
