#include <underthread/task.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::eventually_waits;
using testing::text_of;

struct Stop {};

TEST(Task, GivesWhatItsFunctionReturnsOnce) {
  Task sum([](int a, int b) { return a + b; }, 2, 3);
  EXPECT_EQ(sum.get(), 5);
  EXPECT_EQ(text_of<error>([&] { sum.get(); }), "the result was taken before");
  Task nothing([] {});
  nothing.get();
  nothing.get();
}

TEST(Task, MayReturnWhatCanOnlyBeMovedAndBeMovedItself) {
  Task made([] { return std::make_unique<int>(7); });
  Task moved(std::move(made));
  EXPECT_EQ(*moved.get(), 7);
}

TEST(Task, ThrowsWhatEndedItsFunction) {
  const ExceptHook before = set_excepthook([](const ExceptHookArgs&) { ADD_FAILURE(); });
  Task failing([]() -> int { throw std::runtime_error("no"); });
  for (int turn = 0; turn < 2; ++turn)
    EXPECT_EQ(text_of<std::runtime_error>([&] { failing.get(); }), "no");
  Task ended([]() -> int { exit(); });
  constexpr const char* none = "the task has no result: SystemExit ended it, or a fork";
  EXPECT_EQ(text_of<error>([&] { ended.get(); }), none);
  Task nothing([] { exit(); });
  EXPECT_EQ(text_of<error>([&] { nothing.get(); }), none);
  set_excepthook(before);
}

TEST(Task, WhatNobodyAskedForGoesToTheExcepthook) {
  ExceptHookArgs seen;
  const ExceptHook before = set_excepthook([&](const ExceptHookArgs& args) { seen = args; });
  Ident ident = 0;
  {
    Task failing({.name = "lost"}, []() -> int { throw std::runtime_error("no"); });
    ident = failing.thread().ident();
    while (!failing.thread().is_done()) sleep_for(1ms);
    EXPECT_EQ(seen.what, "");
  }
  EXPECT_EQ(seen.what, "no");
  EXPECT_EQ(seen.name, "lost");
  EXPECT_EQ(seen.ident, ident);
  seen = {};
  {
    const Task ended([]() -> int { exit(); });
  }
  EXPECT_EQ(seen.ident, 0u);
  set_excepthook(before);
}

TEST(Task, TakesOptionsAndIsAThread) {
  Task named(
      ThreadOptions{.name = "adder"}, [](std::string text) { return text + "!"; }, "so");
  EXPECT_EQ(named.thread().name(), "adder");
  EXPECT_EQ(named.get(), "so!");
  EXPECT_TRUE(named.thread().is_done());
}

TEST(Task, AnInterruptEndsTheWaitForIt) {
  Lock gate;
  gate.acquire();
  Thread waiter([&] {
    Task slow([&] {
      gate.acquire();
      return 1;
    });
    EXPECT_THROW(slow.get(), Stop);
    gate.release();
    EXPECT_EQ(slow.get(), 1);
  });
  ASSERT_TRUE(eventually_waits(waiter));
  ASSERT_TRUE(waiter.interrupt(Stop()));
  waiter.join();
}

TEST(Stops, AFunctionThatTakesATokenGetsOneAndARequestInterruptsIt) {
  Task waits(
      [](std::stop_token token, int more) {
        try {
          sleep_for(1h);
        } catch (const SystemExit&) {
        }
        return token.stop_requested() ? more : 0;
      },
      5);
  ASSERT_TRUE(eventually_waits(waits.thread()));
  EXPECT_TRUE(waits.thread().request_stop());
  EXPECT_FALSE(waits.thread().request_stop());
  EXPECT_EQ(waits.get(), 5);
}

TEST(Stops, AnInterruptWithSystemExitRequestsTheStopAndIsTheOnlyOneThatIsThrown) {
  Thread waits([](std::stop_token token) {
    EXPECT_THROW(sleep_for(1h), SystemExit);
    EXPECT_TRUE(token.stop_requested());
    check_interrupts();
  });
  ASSERT_TRUE(eventually_waits(waits));
  std::stop_token token = waits.get_stop_token();
  EXPECT_TRUE(waits.interrupt(SystemExit(3)));
  EXPECT_TRUE(token.stop_requested());
  waits.join();
  EXPECT_FALSE(waits.request_stop());
}

TEST(Stops, AnInterruptWithSomethingElseRequestsNone) {
  std::atomic<bool> is_seen{false};
  Thread waits([&](std::stop_token token) {
    EXPECT_THROW(sleep_for(1h), Stop);
    EXPECT_FALSE(token.stop_requested());
    is_seen = true;
    EXPECT_THROW(sleep_for(1h), SystemExit);
    EXPECT_TRUE(token.stop_requested());
  });
  ASSERT_TRUE(eventually_waits(waits));
  EXPECT_TRUE(waits.interrupt(Stop()));
  ASSERT_TRUE(eventually([&] { return is_seen.load(); }));
  EXPECT_TRUE(waits.request_stop());
  waits.join();
}

TEST(Stops, OfAThreadThatHasEndedIsNone) {
  Thread ended([](std::stop_token) {});
  while (!ended.is_done()) sleep_for(1ms);
  EXPECT_FALSE(ended.request_stop());
  EXPECT_FALSE(ended.get_stop_token().stop_requested());
}

TEST(Stops, ASourceThatIsKeptStopsTheThreadAndNothingAfterIt) {
  std::stop_source source{std::nostopstate};
  {
    Thread waits([](std::stop_token) { sleep_for(1h); });
    source = waits.get_stop_source();
    ASSERT_TRUE(eventually_waits(waits));
    EXPECT_TRUE(source.request_stop());
  }
  EXPECT_FALSE(source.request_stop());
}

TEST(Stops, OfAThreadThatTakesNoTokenIsAnInterrupt) {
  Thread waits([] { EXPECT_THROW(sleep_for(1h), SystemExit); });
  EXPECT_FALSE(waits.get_stop_source().stop_possible());
  ASSERT_TRUE(eventually_waits(waits));
  EXPECT_TRUE(waits.request_stop());
  EXPECT_FALSE(waits.request_stop());
  waits.join();
  EXPECT_FALSE(waits.interrupt());
}

TEST(Stops, AnInterruptOfAHandleHitsNoLaterThreadOfTheSameIdent) {
  int hit = 0;
  for (int turn = 0; turn < 50; ++turn) {
    Thread ended([] {});
    ended.join();
    Thread next([&] {
      try {
        sleep_for(1ms);
      } catch (const Stop&) {
        ++hit;
      }
    });
    EXPECT_FALSE(ended.interrupt(Stop()));
    next.join();
  }
  EXPECT_EQ(hit, 0);
}

}  // namespace
}  // namespace underthread
