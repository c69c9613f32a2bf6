// Locks under everything at once, on real threads: timeouts, tries, releases, hand-offs, interrupts
// and signals. A row of the table is a mix. What is checked in every row:
//
//   one inside      a plain counter, changed under the lock, counts every acquisition
//   no lost wake    every thread comes to its end; one that waits for ever fails the test
//   no lost lock    the lock is unlocked and nobody's at the end
//   no lost letter  every interrupt sent was taken exactly once
#include <underthread/underthread.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <pthread.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int slower = 8;
#else
constexpr int slower = 1;
#endif

struct Row {
  const char* name;
  int threads = 4;
  int rounds = 40'000;
  int timed_percent = 0;    ///< of acquisitions, with a timeout of up to 200 us
  int try_percent = 0;      ///< of acquisitions, without waiting
  int limited_percent = 0;  ///< of the rest, within a limit of time of up to 200 us
  int scoped_percent = 50;  ///< of the rest by lock(), the others by acquire()
  int long_percent = 0;  ///< of holds that last past the fairness bound, so the next is a hand-off
  int interrupters = 0;
  long interrupts = 0;  ///< so many are taken, at least
  int signallers = 0;
  bool recursive = false;
};

constexpr Row rows[] = {
    {.name = "two_threads", .threads = 2, .rounds = 200'000},
    {.name = "many_threads", .threads = 16, .rounds = 10'000},
    {.name = "timed", .timed_percent = 60},
    {.name = "tries", .try_percent = 60},
    {.name = "hand_offs", .rounds = 400, .long_percent = 30},
    {.name = "timed_and_hand_offs", .rounds = 400, .timed_percent = 60, .long_percent = 30},
    {.name = "interrupts", .scoped_percent = 20, .interrupters = 2},
    {.name = "interrupts_and_hand_offs",
     .rounds = 400,
     .scoped_percent = 20,
     .long_percent = 30,
     .interrupters = 2},
    {.name = "a_hundred_thousand_interrupts",
     .rounds = 2'000,
     .timed_percent = 30,
     .try_percent = 10,
     .limited_percent = 30,
     .scoped_percent = 20,
     .long_percent = 1,
     .interrupters = 2,
     .interrupts = 100'000},
    {.name = "limits", .limited_percent = 60},
    {.name = "signals", .signallers = 2},
    {.name = "everything",
     .threads = 8,
     .rounds = 2'000,
     .timed_percent = 40,
     .try_percent = 10,
     .long_percent = 2,
     .interrupters = 2,
     .signallers = 1},
    {.name = "recursive", .recursive = true},
    {.name = "recursive_everything",
     .rounds = 2'000,
     .timed_percent = 40,
     .try_percent = 10,
     .long_percent = 2,
     .interrupters = 2,
     .signallers = 1,
     .recursive = true},
};

struct Stop {};

/// What the rows share of Lock and RLock.
template <class L>
class Mix {
 public:
  explicit Mix(const Row& row) : row_(row) {}

  void run() {
    for (int i = 0; i < row_.threads; ++i)
      lockers_.emplace_back([this, i] { lock_again_and_again(static_cast<unsigned>(i)); });
    std::vector<Thread> others;
    for (int i = 0; i < row_.interrupters; ++i)
      others.emplace_back([this, i] { interrupt_again_and_again(static_cast<unsigned>(i)); });
    for (int i = 0; i < row_.signallers; ++i)
      others.emplace_back([this] { signal_again_and_again(); });

    begin_ = true;
    EXPECT_TRUE(testing::eventually([this] { return finished_ == row_.threads; }))
        << "a thread waits for ever: " << finished_ << " of " << row_.threads << " finished";
    if (finished_ != row_.threads) std::abort();
    stop_others_ = true;
    others.clear();
    drain_ = true;
    for (Thread& locker : lockers_) locker.join();

    EXPECT_EQ(inside_count_, taken_);
    EXPECT_FALSE(lock_.locked());
    EXPECT_EQ(lock_.owner(), 0u);
    EXPECT_EQ(sent_, received_);
    EXPECT_GT(taken_, 0);
    if (row_.interrupters > 0) {
      EXPECT_GT(received_, 0);
    }
  }

 private:
  bool take(std::mt19937& random) {
    const int kind = static_cast<int>(random() % 100);
    if (kind < row_.timed_percent)
      return lock_.acquire(true, std::chrono::microseconds(random() % 200));
    if (kind < row_.timed_percent + row_.try_percent) return lock_.acquire(false);
    if (static_cast<int>(random() % 100) < row_.limited_percent) {
      const TimeLimit limit(std::chrono::microseconds(random() % 200));
      try {
        return lock_.acquire();
      } catch (const TimeoutError&) {
        return false;
      }
    }
    if (static_cast<int>(random() % 100) < row_.scoped_percent) {
      lock_.lock();
      return true;
    }
    return lock_.acquire();
  }

  void hold(std::mt19937& random) {
    EXPECT_EQ(inside_.exchange(true, std::memory_order_relaxed), false);
    EXPECT_EQ(lock_.owner(), get_ident());
    ++inside_count_;
    if (static_cast<int>(random() % 100) < row_.long_percent) {
      const auto until = std::chrono::steady_clock::now() + 1200us;
      while (std::chrono::steady_clock::now() < until) {
      }
    }
    // Off the processor with the lock held: the others run into it, and sleep.
    if (random() % 8 == 0) std::this_thread::yield();
    if (row_.recursive && random() % 2 == 0) {
      // Waits for nobody, but it is a safe point: an interrupt may come instead.
      try {
        if (lock_.acquire()) lock_.release();
      } catch (const Stop&) {
        ++received_;
      }
    }
    EXPECT_EQ(inside_.exchange(false, std::memory_order_relaxed), true);
  }

  void lock_again_and_again(unsigned seed) {
    while (!begin_) std::this_thread::yield();
    std::mt19937 random(seed);
    const int rounds = std::max(row_.rounds / slower, 20);
    for (int round = 0; round < rounds || received_ < row_.interrupts / slower; ++round) {
      try {
        if (!take(random)) continue;
      } catch (const Stop&) {
        ++received_;
        continue;
      }
      hold(random);
      ++taken_;
      lock_.release();
    }
    ++finished_;
    while (!drain_) std::this_thread::yield();
    for (bool more = true; more;) {
      more = false;
      try {
        check_interrupts();
      } catch (const Stop&) {
        ++received_;
        more = true;
      }
    }
  }

  void interrupt_again_and_again(unsigned seed) {
    std::mt19937 random(seed);
    const std::exception_ptr stop = std::make_exception_ptr(Stop{});
    while (!stop_others_) {
      const Thread& target = lockers_[random() % lockers_.size()];
      if (interrupt(target.ident(), stop)) ++sent_;
      // Many at a time, but not more than are soon taken.
      if (row_.interrupts > 0 && sent_ - received_ < 100) continue;
      sleep_for(std::chrono::microseconds(random() % 100));
    }
  }

  void signal_again_and_again() {
    while (!stop_others_)
      for (const Thread& target : lockers_) {
        pthread_kill(static_cast<pthread_t>(target.ident()), SIGUSR1);
        sleep_for(50us);
      }
  }

  const Row& row_;
  L lock_;
  std::vector<Thread> lockers_;
  std::atomic<bool> begin_{false};
  std::atomic<bool> stop_others_{false};
  std::atomic<bool> drain_{false};
  std::atomic<int> finished_{0};
  std::atomic<bool> inside_{false};
  long inside_count_ = 0;  // plain, under the lock
  std::atomic<long> taken_{0};
  std::atomic<long> sent_{0};
  std::atomic<long> received_{0};
};

class LockStress : public ::testing::TestWithParam<Row> {
 protected:
  LockStress() {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    sigaction(SIGUSR1, &action, nullptr);
  }
};

TEST_P(LockStress, OneInsideAndNothingLost) {
  if (GetParam().recursive)
    Mix<RLock>(GetParam()).run();
  else
    Mix<Lock>(GetParam()).run();
}

INSTANTIATE_TEST_SUITE_P(Rows, LockStress, ::testing::ValuesIn(rows),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(Stress, TwoThreadsThatReleaseEachOthersLockNeverHang) {
  constexpr int rounds = 50'000 / slower;
  Lock a;
  Lock b;
  b.acquire();
  int turns = 0;  // plain: the locks order it
  Thread other([&] {
    for (int i = 0; i < rounds; ++i) {
      b.acquire();
      ++turns;
      a.release();
    }
  });
  for (int i = 0; i < rounds; ++i) {
    a.acquire();
    ++turns;
    b.release();
  }
  other.join();
  EXPECT_EQ(turns, 2 * rounds);
}

TEST(Stress, ThreadsThatStartEndAndAreJoinedByManyNeverHang) {
  for (int round = 0; round < 1'000 / slower; ++round) {
    Thread target([] {});
    Thread first([&] { target.join(); });
    Thread second([&] { target.join(1us); });
    target.join();
  }
}

TEST(Stress, AThreadThatEndsWhileItIsInterruptedNeverHurtsAnother) {
  std::atomic<bool> stop{false};
  std::atomic<Ident> target{0};
  Thread interrupter([&] {
    const std::exception_ptr exception = std::make_exception_ptr(Stop{});
    while (!stop)
      if (const Ident ident = target) interrupt(ident, exception);
  });
  for (int round = 0; round < 3'000 / slower; ++round) {
    Thread thread([] {
      try {
        for (int i = 0; i < 20; ++i) check_interrupts();
      } catch (const Stop&) {
      }
    });
    target = thread.ident();
    thread.join();
  }
  stop = true;
  interrupter.join();
}

}  // namespace
}  // namespace underthread
