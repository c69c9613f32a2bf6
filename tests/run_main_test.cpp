#include <underthread/run_main.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace underthread
