// What a Thread does at the end of its scope: nothing there hangs that an interrupt could end.
#include <underthread/underthread.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::eventually_waits;

struct Stop {};

/// Sleeps for an hour, and notes how that ended.
struct Sleeper {
  std::atomic<int>* ended;
  void operator()() const {
    try {
      sleep_for(1h);
    } catch (const SystemExit&) {
      *ended += 1;
      throw;
    }
  }
};

TEST(ScopeEnd, WaitsForItsThreadWhenItsScopeIsLeftNormally) {
  Lock gate;
  gate.acquire();
  std::atomic<bool> is_left{false};
  std::atomic<int> ended{0};
  Thread owner([&] {
    {
      const Thread inner([&] {
        gate.acquire();
        ++ended;
      });
    }
    is_left = true;
  });
  ASSERT_TRUE(eventually_waits(owner));
  EXPECT_FALSE(is_left);
  gate.release();
  owner.join();
  EXPECT_EQ(ended, 1);
}

TEST(ScopeEnd, InterruptsItsThreadsWhenAnExceptionLeavesTheScope) {
  std::atomic<int> ended{0};
  const auto fails = [&] {
    std::vector<Thread> pool;
    for (int i = 0; i < 3; ++i) pool.emplace_back(Sleeper{&ended});
    throw std::runtime_error("config is bad");
  };
  EXPECT_THROW(fails(), std::runtime_error);
  EXPECT_EQ(ended, 3);
}

TEST(ScopeEnd, OfAScopeWithinADestructorThatRunsWhileTheStackIsUnwoundIsNoFailure) {
  std::atomic<int> ended{0};
  struct Cleans {
    std::atomic<int>& done;
    ~Cleans() {
      const Thread thread([this] { ++done; });
    }
  };
  const auto fails = [&] {
    const Cleans cleans{ended};
    throw std::runtime_error("first");
  };
  EXPECT_THROW(fails(), std::runtime_error);
  EXPECT_EQ(ended, 1);
}

TEST(ScopeEnd, DoesAsTheOptionSays) {
  std::atomic<int> ended{0};
  { const Thread stopped(ThreadOptions{.at_scope_end = AtScopeEnd::interrupt}, Sleeper{&ended}); }
  EXPECT_EQ(ended, 1);
  auto gate = std::make_shared<Lock>();
  gate->acquire();
  Ident detached = 0;
  {
    const Thread thread(ThreadOptions{.at_scope_end = AtScopeEnd::detach},
                        [gate] { gate->acquire(); });
    detached = thread.ident();
  }
  ASSERT_TRUE(eventually_waits(detached));
  gate->release();
  std::atomic<bool> done{false};
  const auto fails = [&] {
    const Thread waited(ThreadOptions{.at_scope_end = AtScopeEnd::wait}, [&] {
      sleep_for(1ms);
      done = true;
    });
    throw std::runtime_error("first");
  };
  EXPECT_THROW(fails(), std::runtime_error);
  EXPECT_TRUE(done);
}

TEST(ScopeEnd, PassesAnInterruptOnAndKeepsItForTheNextSafePoint) {
  std::atomic<int> ended{0};
  Thread owner([&] {
    { const Thread inner(Sleeper{&ended}); }
    EXPECT_EQ(ended, 1);
    EXPECT_THROW(check_interrupts(), Stop);
    check_interrupts();
  });
  ASSERT_TRUE(eventually_waits(owner));
  ASSERT_TRUE(owner.interrupt(Stop()));
  owner.join();
}

TEST(ScopeEnd, PassesEachInterruptOnAndKeepsTheirOrder) {
  std::atomic<int> asked{0};
  Thread owner([&] {
    {
      // It takes two to end.
      const Thread inner([&] {
        while (asked < 2) {
          try {
            sleep_for(1h);
          } catch (const SystemExit&) {
            ++asked;
          }
        }
      });
    }
    EXPECT_THROW(check_interrupts(), Stop);
    EXPECT_THROW(check_interrupts(), std::runtime_error);
    check_interrupts();
  });
  ASSERT_TRUE(eventually_waits(owner));
  ASSERT_TRUE(owner.interrupt(Stop()));
  ASSERT_TRUE(eventually([&] { return asked == 1; }));
  ASSERT_TRUE(owner.interrupt(std::runtime_error("second")));
  owner.join();
}

TEST(ScopeEnd, ATimeLimitThatIsOverIsPassedOnToo) {
  std::atomic<int> ended{0};
  const TimeLimit limit(10ms);
  { const Thread inner(Sleeper{&ended}); }
  EXPECT_EQ(ended, 1);
  EXPECT_THROW(check_interrupts(), TimeoutError);
}

TEST(ScopeEnd, WhileInterruptsAreHeldOffNothingIsPassedOn) {
  Lock gate;
  gate.acquire();
  std::atomic<int> ended{0};
  Thread owner([&] {
    {
      const HoldInterrupts hold;
      const Thread inner([&] {
        gate.acquire();
        ++ended;
      });
    }
    EXPECT_THROW(check_interrupts(), Stop);
  });
  ASSERT_TRUE(eventually_waits(owner));
  ASSERT_TRUE(owner.interrupt(Stop()));
  EXPECT_EQ(ended, 0);
  gate.release();
  owner.join();
  EXPECT_EQ(ended, 1);
}

// What a program is: a main with workers that would run for an hour, whose Ctrl-C may come
// whenever.
int work(int, char**) {
  std::vector<Thread> pool;
  for (int i = 0; i < 3; ++i) pool.emplace_back([] { sleep_for(1h); });
  return 0;
}

TEST(ScopeEnd, CtrlCEndsAProgramWithThreadsAtAnyMoment) {
  for (int microseconds = 0; microseconds < 2'000; microseconds += 50) {
    const pid_t child = fork();
    if (child == 0) {
      std::freopen("/dev/null", "w", stderr);
      _exit(run_main(0, nullptr, work));
    }
    // Not before it has a handler: as for any program, the signal would end it at once.
    ASSERT_TRUE(eventually([child] {
      std::ifstream status("/proc/" + std::to_string(child) + "/status");
      for (std::string line; std::getline(status, line);)
        if (line.starts_with("SigCgt:")) return (std::stoull(line.substr(8), nullptr, 16) & 2) != 0;
      return false;
    }));
    usleep(static_cast<useconds_t>(microseconds));
    kill(child, SIGINT);
    int status = 0;
    ASSERT_TRUE(eventually([&] { return waitpid(child, &status, WNOHANG) == child; }))
        << "after " << microseconds << " us";
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT)
        << "after " << microseconds << " us: " << status;
  }
}

}  // namespace
}  // namespace underthread
