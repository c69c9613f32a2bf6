#include <underthread/run_main.h>

#include <csignal>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

#include "os/signal_action.h"
#include "test_support.h"

namespace underthread {
namespace {

using testing::status_of_child;

/// How a process ends that runs `main` under run_main.
int status_of(int (*main)(int, char**)) {
  const pid_t child = fork();
  if (child == 0) {
    char name[] = "program";
    char* argv[] = {name, nullptr};
    // noexcept: what leaves run_main must not reach the test framework, which would catch it.
    [&]() noexcept { std::exit(run_main(1, argv, main)); }();
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

TEST(RunMain, PassesTheArgumentsAndReturnsTheStatus) {
  char name[] = "program";
  char argument[] = "x";
  char* argv[] = {name, argument, nullptr};
  EXPECT_EQ(run_main(2, argv,
                     [](int argc, char** given) {
                       EXPECT_EQ(argc, 2);
                       EXPECT_STREQ(given[1], "x");
                       return 7;
                     }),
            7);
}

TEST(RunMain, SystemExitIsItsCode) {
  const auto main_with = [](auto main) { return run_main(0, nullptr, main); };
  EXPECT_EQ(main_with(+[](int, char**) -> int { exit(); }), 0);
  EXPECT_EQ(main_with(+[](int, char**) -> int { throw SystemExit(3); }), 3);
}

TEST(RunMain, SystemExitWithAMessagePrintsItAndIsOne) {
  ::testing::internal::CaptureStderr();
  EXPECT_EQ(run_main(0, nullptr, [](int, char**) -> int { throw SystemExit("no such file"); }), 1);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "no such file\n");
}

TEST(RunMain, KeyboardInterruptEndsTheProcessBySigint) {
  const int status = status_of([](int, char**) -> int {
    raise(SIGINT);
    check_interrupts();
    return 0;
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGINT);
}

TEST(RunMain, ASigintBehindTheLastSafePointIsNotLost) {
  const int status = status_of([](int, char**) -> int {
    raise(SIGINT);
    return 0;
  });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGINT);
}

TEST(RunMain, GivesSigintBackHoweverMainEnds) {
  EXPECT_EQ(run_main(0, nullptr, [](int, char**) { return 0; }), 0);
  EXPECT_TRUE(getsignal(SIGINT) == default_action);
  EXPECT_EQ(run_main(0, nullptr, [](int, char**) -> int { throw SystemExit(3); }), 3);
  EXPECT_TRUE(getsignal(SIGINT) == default_action);
  const auto throws = [] {
    run_main(0, nullptr, [](int, char**) -> int { throw std::runtime_error("not ours"); });
  };
  EXPECT_THROW(throws(), std::runtime_error);
  EXPECT_TRUE(getsignal(SIGINT) == default_action);
  // But not what the program has set meanwhile.
  EXPECT_EQ(run_main(0, nullptr,
                     [](int, char**) {
                       signal(SIGINT, ignore);
                       return 0;
                     }),
            0);
  EXPECT_TRUE(getsignal(SIGINT) == ignore);
  signal(SIGINT, default_action);
}

TEST(RunMain, LeavesAnIgnoredOrHandledSigintAlone) {
  EXPECT_EQ(status_of_child([] {
              signal(SIGINT, ignore);
              return run_main(0, nullptr, [](int, char**) {
                       raise(SIGINT);
                       check_interrupts();
                       return 5;
                     }) == 5;
            }),
            0);
  EXPECT_EQ(status_of_child([] {
              static int calls;
              signal(SIGINT, [](int) { ++calls; });
              return run_main(0, nullptr, [](int, char**) {
                       raise(SIGINT);
                       check_interrupts();
                       return calls;
                     }) == 1;
            }),
            0);
}

TEST(RunMain, AnyOtherExceptionIsLeftToTerminate) {
  const int status = status_of([](int, char**) -> int { throw std::runtime_error("broken"); });
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGABRT);
}

TEST(RunMain, WhatIsInAStreamIsWrittenBeforeTheProcessEndsBySigint) {
  int out[2];
  ASSERT_EQ(pipe(out), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(out[1], STDOUT_FILENO);
    std::exit(run_main(0, nullptr, [](int, char**) -> int {
      std::ios::sync_with_stdio(false);
      std::cout << "of the stream\n";
      throw KeyboardInterrupt();
    }));
  }
  close(out[1]);
  std::string seen;
  for (char c = 0; read(out[0], &c, 1) == 1;) seen += c;
  close(out[0]);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(seen, "of the stream\n");
}

TEST(RunMain, WhereASignalEndsNothingTheProcessEndsAllTheSame) {
  // As the first process of a container with any: one whose default is to do nothing.
  const pid_t child = fork();
  if (child == 0) os::die_of_signal(SIGCHLD);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 128 + SIGCHLD);
}

}  // namespace
}  // namespace underthread
