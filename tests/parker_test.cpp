// One suite for every parker: CMake links it once with each.
#include "os/parker.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <pthread.h>

#include "os/futex.h"

namespace underthread::os {
namespace {

constexpr std::int64_t never = INT64_MAX;
constexpr std::int64_t millisecond = 1'000'000;

class ParkerTest : public ::testing::Test {
 protected:
  ParkerTest() { parker.arm(); }
  Parker parker;
};

TEST_F(ParkerTest, AWakeBeforeTheSleepEndsIt) {
  parker.wake();
  EXPECT_EQ(parker.sleep(never), Slept::woken);
}

TEST_F(ParkerTest, APokeBeforeTheSleepEndsIt) {
  parker.poke();
  EXPECT_EQ(parker.sleep(never), Slept::poked);
}

TEST_F(ParkerTest, APokeEndsOneSleepOnly) {
  parker.poke();
  parker.poke();
  EXPECT_EQ(parker.sleep(never), Slept::poked);
  EXPECT_EQ(parker.sleep(now() + millisecond), Slept::timed_out);
}

TEST_F(ParkerTest, AWakeWinsOverAPoke) {
  parker.poke();
  parker.wake();
  EXPECT_EQ(parker.sleep(never), Slept::woken);
}

TEST_F(ParkerTest, ArmingForgetsAPoke) {
  parker.poke();
  parker.arm();
  EXPECT_EQ(parker.sleep(now() + millisecond), Slept::timed_out);
}

TEST_F(ParkerTest, AMomentInThePastDoesNotSleep) {
  EXPECT_EQ(parker.sleep(0), Slept::timed_out);
  EXPECT_EQ(parker.sleep(-5), Slept::timed_out);
  EXPECT_EQ(parker.sleep(now() - 1), Slept::timed_out);
}

TEST_F(ParkerTest, ASleepIsNeverShorterThanAsked) {
  for (int i = 0; i < 20; ++i) {
    const std::int64_t until = now() + millisecond / 2;
    EXPECT_EQ(parker.sleep(until), Slept::timed_out);
    EXPECT_GE(now(), until);
  }
}

TEST_F(ParkerTest, AWakeFromAnotherThreadEndsTheSleep) {
  std::thread other([this] { parker.wake(); });
  EXPECT_EQ(parker.sleep(never), Slept::woken);
  other.join();
}

TEST_F(ParkerTest, WhatWasWrittenBeforeAWakeIsSeenAfterTheSleep) {
  int written = 0;
  std::thread other([&] {
    written = 42;
    parker.wake();
  });
  EXPECT_EQ(parker.sleep(never), Slept::woken);
  EXPECT_EQ(written, 42);
  other.join();
}

TEST_F(ParkerTest, EveryOneOfManyWakesIsTaken) {
  constexpr int rounds = 20'000;
  Parker answer;
  answer.arm();
  std::thread other([&] {
    for (int i = 0; i < rounds; ++i) {
      EXPECT_EQ(answer.sleep(never), Slept::woken);
      answer.arm();
      parker.wake();
    }
  });
  for (int i = 0; i < rounds; ++i) {
    answer.wake();
    EXPECT_EQ(parker.sleep(never), Slept::woken);
    parker.arm();
  }
  other.join();
}

TEST_F(ParkerTest, NoPokeIsLostBetweenTheLookAndTheSleep) {
  // The sleeper's promise: a flag that was set before a poke is seen, whenever the poke comes.
  constexpr int rounds = 20'000;
  std::atomic<int> asked{0};
  std::atomic<int> seen{0};
  std::thread other([&] {
    for (int i = 1; i <= rounds; ++i) {
      asked.store(i, std::memory_order_relaxed);
      parker.poke();
      while (seen.load(std::memory_order_relaxed) != i) std::this_thread::yield();
    }
  });
  while (seen.load(std::memory_order_relaxed) != rounds) {
    parker.arm();
    int now_asked = asked.load(std::memory_order_relaxed);
    if (now_asked == seen.load(std::memory_order_relaxed)) {
      EXPECT_EQ(parker.sleep(never), Slept::poked);
      now_asked = asked.load(std::memory_order_relaxed);
    }
    seen.store(now_asked, std::memory_order_relaxed);
  }
  other.join();
}

extern "C" void ignore_signal(int) {}

class HandlerFor {
 public:
  explicit HandlerFor(void (*function)(int)) {
    struct sigaction action = {};
    action.sa_handler = function;
    sigaction(SIGUSR1, &action, &before_);
  }
  ~HandlerFor() { sigaction(SIGUSR1, &before_, nullptr); }
  HandlerFor(const HandlerFor&) = delete;
  HandlerFor& operator=(const HandlerFor&) = delete;

 private:
  struct sigaction before_ = {};
};

TEST_F(ParkerTest, ASignalHandlerThatReturnsEndsTheSleep) {
  const HandlerFor handler(ignore_signal);
  std::atomic<bool> done{false};
  const pthread_t sleeper = pthread_self();
  // One signal may fall between the start of this test's sleep and the kernel's: send until it
  // took.
  std::thread other([&] {
    while (!done.load()) {
      pthread_kill(sleeper, SIGUSR1);
      std::this_thread::yield();
    }
  });
  EXPECT_EQ(parker.sleep(never), Slept::signalled);
  done = true;
  other.join();
}

std::atomic<Parker*> poked_by_handler{nullptr};
extern "C" void poke_from_handler(int) {
  poked_by_handler.load()->poke();
}

TEST_F(ParkerTest, APokeFromASignalHandlerIsNeverLost) {
  const HandlerFor handler(poke_from_handler);
  poked_by_handler = &parker;
  const pthread_t sleeper = pthread_self();
  // One signal a round, wherever it falls: it must always be enough.
  for (int i = 0; i < 3'000; ++i) {
    parker.arm();
    std::thread other([&] { pthread_kill(sleeper, SIGUSR1); });
    Slept end = parker.sleep(never);
    // ThreadSanitizer runs handlers late: the sleep may end before its handler has run.
    while (end == Slept::signalled) end = parker.sleep(never);
    EXPECT_EQ(end, Slept::poked);
    other.join();
  }
}

TEST(Futex, AWordThatDiffersDoesNotSleep) {
  std::atomic<std::uint32_t> word{1};
  EXPECT_EQ(futex_wait(word, 2, never), FutexEnd::woken);
}

TEST(Futex, AWakeReachesTheSleeperOfThatWordAmongOthers) {
  // 64 words: more than one shares a row of the table, where there is one.
  constexpr int count = 64;
  std::vector<std::atomic<std::uint32_t>> words(count);
  std::vector<std::thread> sleepers;
  std::atomic<int> left{count};
  for (auto& word : words)
    sleepers.emplace_back([&word, &left] {
      while (word.load() == 0) futex_wait(word, 0, never);
      --left;
    });
  for (int i = count; i-- > 0;) {
    words[static_cast<std::size_t>(i)] = 1;
    futex_wake_one(words[static_cast<std::size_t>(i)]);
    sleepers[static_cast<std::size_t>(i)].join();
    EXPECT_EQ(left.load(), i);
  }
}

TEST(Clock, NeverGoesBackAndIsTheSteadyClock) {
  const auto before = std::chrono::steady_clock::now().time_since_epoch();
  const std::int64_t ours = now();
  const auto after = std::chrono::steady_clock::now().time_since_epoch();
  EXPECT_GE(ours, std::chrono::nanoseconds(before).count());
  EXPECT_LE(ours, std::chrono::nanoseconds(after).count());
}

}  // namespace
}  // namespace underthread::os
