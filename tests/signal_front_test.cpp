#include "os/signal_front.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace underthread::os {
namespace {

std::atomic<int> handled{0};
std::atomic<int> times{0};
std::atomic<int> followed{0};
std::atomic<pid_t> handled_by{0};
siginfo_t last_info;
struct sigaction before_chaining;

void handler(int signum) {
  handled = signum;
  handled_by = gettid();
  ++times;
}

void info_handler(int signum, siginfo_t* info, void* context) {
  handler(signum);
  last_info = *info;
  if (!context) handled = -1;
}

/// What a library does that puts its handler before another's, as faulthandler with `chain=True`.
void chaining_handler(int signum, siginfo_t* info, void* context) {
  handler(signum);
  if ((before_chaining.sa_flags & SA_SIGINFO) != 0)
    before_chaining.sa_sigaction(signum, info, context);
}

void behind() {
  // It comes behind the handler.
  followed = handled.load();
  errno = EBADF;
}

struct sigaction action_of(int signum) {
  struct sigaction found = {};
  sigaction(signum, nullptr, &found);
  return found;
}

void install(void (*function)(int, siginfo_t*, void*), int flags, struct sigaction* before) {
  struct sigaction wanted = {};
  wanted.sa_sigaction = function;
  wanted.sa_flags = SA_SIGINFO | flags;
  sigemptyset(&wanted.sa_mask);
  sigaction(SIGUSR1, &wanted, before);
}

class SignalFrontTest : public ::testing::Test {
 protected:
  SignalFrontTest() {
    handled = times = followed = 0;
    call_behind_fronts(behind);
  }
  ~SignalFrontTest() override {
    forget_noted_signals(false);
    for (const int signum : {SIGUSR1, SIGUSR2}) std::signal(signum, SIG_DFL);
  }
};

TEST_F(SignalFrontTest, TheHandlerHandlesTheSignalAndBehindItOursIsCalledWithErrnoKept) {
  std::signal(SIGUSR1, handler);
  EXPECT_EQ(put_front(SIGUSR1), Front::there);
  errno = 0;
  std::raise(SIGUSR1);
  EXPECT_EQ(handled, SIGUSR1);
  EXPECT_EQ(followed, SIGUSR1);
  EXPECT_EQ(errno, 0);
}

TEST_F(SignalFrontTest, RunsInTheThreadThatTookTheSignal) {
  std::signal(SIGUSR1, handler);
  put_front(SIGUSR1);
  std::thread([] { std::raise(SIGUSR1); }).join();
  EXPECT_NE(handled_by, gettid());
}

TEST_F(SignalFrontTest, AHandlerThatIsSetLaterDoesWithoutIt) {
  std::signal(SIGUSR1, handler);
  put_front(SIGUSR1);
  std::signal(SIGUSR1, handler);
  std::raise(SIGUSR1);
  EXPECT_EQ(followed, 0);
  EXPECT_EQ(put_front(SIGUSR1), Front::there);
  std::raise(SIGUSR1);
  EXPECT_EQ(followed, SIGUSR1);
  EXPECT_EQ(times, 2);
}

TEST_F(SignalFrontTest, KeepsTheFlagsAndTheMask) {
  struct sigaction wanted = {};
  wanted.sa_handler = handler;
  wanted.sa_flags = SA_RESTART | SA_ONSTACK | SA_NODEFER;
  sigemptyset(&wanted.sa_mask);
  sigaddset(&wanted.sa_mask, SIGUSR2);
  ASSERT_EQ(sigaction(SIGUSR1, &wanted, nullptr), 0);
  put_front(SIGUSR1);
  const struct sigaction found = action_of(SIGUSR1);
  EXPECT_NE(found.sa_handler, handler);
  EXPECT_EQ(found.sa_flags & wanted.sa_flags, wanted.sa_flags);
  EXPECT_EQ(sigismember(&found.sa_mask, SIGUSR2), 1);
  EXPECT_EQ(sigismember(&found.sa_mask, SIGUSR1), 0);
}

TEST_F(SignalFrontTest, ADefaultOrIgnoredSignalHasNoneAndStaysSo) {
  EXPECT_EQ(put_front(SIGUSR1), Front::no_handler);
  EXPECT_EQ(action_of(SIGUSR1).sa_handler, SIG_DFL);
  std::signal(SIGUSR1, SIG_IGN);
  EXPECT_EQ(put_front(SIGUSR1), Front::no_handler);
  EXPECT_EQ(action_of(SIGUSR1).sa_handler, SIG_IGN);
}

TEST_F(SignalFrontTest, NumbersOfTheSystemsAndHandlersThatResetThemselvesAreLeftAlone) {
  for (const int signum : {0, -1, NSIG, 32, 33, SIGKILL, SIGSTOP})
    EXPECT_NE(put_front(signum), Front::there) << signum;
  install(info_handler, SA_RESETHAND, nullptr);
  EXPECT_EQ(put_front(SIGUSR1), Front::refused);
  std::raise(SIGUSR1);
  EXPECT_EQ(times, 1);
  EXPECT_EQ(action_of(SIGUSR1).sa_handler, SIG_DFL);
}

TEST_F(SignalFrontTest, AHandlerWithAllThreeArgumentsGetsThem) {
  install(info_handler, 0, nullptr);
  put_front(SIGUSR1);
  union sigval value;
  value.sival_int = 7;
  sigqueue(getpid(), SIGUSR1, value);
  EXPECT_EQ(handled, SIGUSR1);
  EXPECT_EQ(last_info.si_value.sival_int, 7);
}

TEST_F(SignalFrontTest, AHandlerThatCallsTheFrontBeforeItIsCalledOnce) {
  std::signal(SIGUSR1, handler);
  put_front(SIGUSR1);
  install(chaining_handler, 0, &before_chaining);
  // Again and again, as for each block that holds interrupts off.
  for (int round = 0; round < 5; ++round) EXPECT_EQ(put_front(SIGUSR1), Front::there);
  std::raise(SIGUSR1);
  EXPECT_EQ(times, 2);
  // It goes, and what it found comes back.
  sigaction(SIGUSR1, &before_chaining, nullptr);
  EXPECT_EQ(put_front(SIGUSR1), Front::there);
  std::raise(SIGUSR1);
  EXPECT_EQ(times, 3);
}

TEST_F(SignalFrontTest, WhatComesInAHoldIsHandledOnceAtItsEndWithWhatTheSystemSaid) {
  install(info_handler, 0, nullptr);
  put_front(SIGUSR1);
  hold_signals();
  union sigval value;
  for (value.sival_int = 1; value.sival_int <= 3; ++value.sival_int)
    sigqueue(getpid(), SIGUSR1, value);
  EXPECT_EQ(times, 0);
  EXPECT_TRUE(are_signals_noted());
  release_signals();
  EXPECT_EQ(times, 1);
  EXPECT_EQ(last_info.si_code, SI_QUEUE);
  EXPECT_EQ(last_info.si_value.sival_int, 1);
  EXPECT_FALSE(are_signals_noted());
  std::raise(SIGUSR1);
  EXPECT_EQ(times, 2);
}

TEST_F(SignalFrontTest, WhatAnotherThreadTakesInAHoldIsHandledByTheThreadThatEndsIt) {
  std::signal(SIGUSR1, handler);
  put_front(SIGUSR1);
  hold_signals();
  std::thread([] { std::raise(SIGUSR1); }).join();
  release_signals();
  EXPECT_EQ(times, 1);
  EXPECT_EQ(handled_by, gettid());
}

TEST_F(SignalFrontTest, WhatCameInAHoldGoesToTheHandlerThatIsInForceAtItsEnd) {
  std::signal(SIGUSR1, handler);
  std::signal(SIGUSR2, handler);
  put_front(SIGUSR1);
  put_front(SIGUSR2);
  hold_signals();
  std::raise(SIGUSR1);
  std::raise(SIGUSR2);
  install(info_handler, 0, nullptr);
  std::signal(SIGUSR2, SIG_IGN);
  last_info.si_signo = 0;
  release_signals();
  EXPECT_EQ(last_info.si_signo, SIGUSR1);
  EXPECT_EQ(times, 1);
}

TEST_F(SignalFrontTest, NoneIsLostOrDoubledWhereTheHoldJustEnds) {
  std::signal(SIGUSR1, handler);
  put_front(SIGUSR1);
  std::atomic<int> sent{0};
  std::atomic<bool> done{false};
  std::thread sender([&] {
    while (!done) {
      const int before = times;
      std::raise(SIGUSR1);
      ++sent;
      // Two that come before one is handled are one.
      while (times == before && !done) std::this_thread::yield();
    }
  });
  while (times < 2000) {
    hold_signals();
    release_signals();
  }
  done = true;
  sender.join();
  release_signals();
  EXPECT_EQ(times, sent);
}

TEST_F(SignalFrontTest, AForksChildHasNothingOfWhatItsParentNoted) {
  std::signal(SIGUSR1, handler);
  put_front(SIGUSR1);
  hold_signals();
  std::raise(SIGUSR1);
  const pid_t child = fork();
  if (child == 0) {
    forget_noted_signals(true);
    const bool nothing = !are_signals_noted();
    std::raise(SIGUSR1);
    const bool held = times == 0;
    release_signals();
    _exit(nothing && held && times == 1 ? 0 : 1);
  }
  int status = -1;
  waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  release_signals();
  EXPECT_EQ(times, 1);
}

}  // namespace
}  // namespace underthread::os
