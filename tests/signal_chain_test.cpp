#include "os/signal_chain.h"

#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

#include <gtest/gtest.h>

namespace underthread::os {
namespace {

std::atomic<int> handled{0};
std::atomic<int> followed{0};

void handler(int signum) {
  handled = signum;
}
void other_handler(int signum) {
  handled = -signum;
}
void after() {
  // It comes behind the handler.
  followed = handled.load();
  errno = EBADF;
}

class SignalChainTest : public ::testing::Test {
 protected:
  SignalChainTest() {
    handled = 0;
    followed = 0;
  }
  ~SignalChainTest() override {
    for (const int signum : {SIGUSR1, SIGUSR2}) std::signal(signum, SIG_DFL);
  }
};

TEST_F(SignalChainTest, CallsAfterWhereTheHandlerHandlesASignalAndKeepsErrno) {
  std::signal(SIGUSR1, handler);
  chain_signals(handler, after);
  errno = 0;
  std::raise(SIGUSR1);
  EXPECT_EQ(handled, SIGUSR1);
  EXPECT_EQ(followed, SIGUSR1);
  EXPECT_EQ(errno, 0);
}

TEST_F(SignalChainTest, RunsInTheThreadThatTookTheSignal) {
  std::signal(SIGUSR1, handler);
  chain_signals(handler, after);
  std::thread([] { std::raise(SIGUSR1); }).join();
  EXPECT_EQ(followed, SIGUSR1);
}

TEST_F(SignalChainTest, LeavesOtherHandlersAlone) {
  std::signal(SIGUSR1, other_handler);
  chain_signals(handler, after);
  EXPECT_EQ(signal_handler(SIGUSR1), other_handler);
  std::raise(SIGUSR1);
  EXPECT_EQ(followed, 0);
}

TEST_F(SignalChainTest, OnceMoreFindsWhatHasBeenSetSince) {
  std::signal(SIGUSR1, handler);
  chain_signals(handler, after);
  std::signal(SIGUSR1, handler);
  std::signal(SIGUSR2, handler);
  chain_signals(handler, after);
  std::raise(SIGUSR1);
  EXPECT_EQ(followed, SIGUSR1);
  std::raise(SIGUSR2);
  EXPECT_EQ(followed, SIGUSR2);
}

TEST_F(SignalChainTest, KeepsTheFlagsAndTheMask) {
  struct sigaction wanted = {};
  wanted.sa_handler = handler;
  wanted.sa_flags = SA_RESTART | SA_ONSTACK;
  sigemptyset(&wanted.sa_mask);
  sigaddset(&wanted.sa_mask, SIGUSR2);
  ASSERT_EQ(sigaction(SIGUSR1, &wanted, nullptr), 0);
  chain_signals(handler, after);
  struct sigaction found = {};
  ASSERT_EQ(sigaction(SIGUSR1, nullptr, &found), 0);
  EXPECT_NE(found.sa_handler, handler);
  EXPECT_EQ(found.sa_flags & (SA_RESTART | SA_ONSTACK), SA_RESTART | SA_ONSTACK);
  EXPECT_EQ(sigismember(&found.sa_mask, SIGUSR2), 1);
}

TEST_F(SignalChainTest, ADefaultOrIgnoredSignalHasNoHandler) {
  EXPECT_EQ(signal_handler(SIGUSR1), nullptr);
  std::signal(SIGUSR1, SIG_IGN);
  EXPECT_EQ(signal_handler(SIGUSR1), nullptr);
  std::signal(SIGUSR1, handler);
  EXPECT_EQ(signal_handler(SIGUSR1), handler);
}

}  // namespace
}  // namespace underthread::os
