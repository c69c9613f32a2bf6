#include <underthread/signals.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::eventually_waits;
using testing::text_of;

struct Caught {
  int signum;
};

void throw_caught(int signum) {
  throw Caught{signum};
}

/// Every test leaves the signals as it found them; gtest runs them in the main thread.
class Signals : public ::testing::Test {
 protected:
  ~Signals() override {
    for (const int signum : {SIGINT, SIGUSR1, SIGUSR2, SIGTERM}) signal(signum, default_action);
  }

  /// Runs `waits` in this, the main thread, and `act` in another once it waits in the lot.
  template <class Waits, class Act>
  static void while_main_waits(Waits waits, Act act) {
    const Ident main = get_ident();
    get_native_id();  // known from here on
    std::thread other([&] {
      EXPECT_TRUE(eventually_waits(main));
      act();
    });
    waits();
    other.join();
  }
};

TEST_F(Signals, AnUntouchedSignalHasTheDefaultAction) {
  EXPECT_TRUE(getsignal(SIGUSR1) == default_action);
}

TEST_F(Signals, SettingReturnsTheOneBefore) {
  EXPECT_TRUE(signal(SIGUSR1, ignore) == default_action);
  EXPECT_TRUE(signal(SIGUSR1, throw_caught) == ignore);
  EXPECT_TRUE(getsignal(SIGUSR1) == throw_caught);
  EXPECT_TRUE(signal(SIGUSR1, default_int_handler) == throw_caught);
  const Handler object = [n = 1](int) mutable { ++n; };
  EXPECT_TRUE(signal(SIGUSR1, object) == default_int_handler);
  EXPECT_TRUE(signal(SIGUSR1, default_action) == object);
  EXPECT_FALSE(getsignal(SIGUSR1) == object);
}

TEST_F(Signals, WhatCanOnlyBeMovedCanBeAHandler) {
  int seen = 0;
  underthread::signal(SIGUSR1, [&seen, owned = std::make_unique<int>(7)](int) { seen += *owned; });
  const Handler kept = getsignal(SIGUSR1);
  interrupt_main(SIGUSR1);
  check_interrupts();
  EXPECT_EQ(seen, 7);
  EXPECT_TRUE(signal(SIGUSR1, default_action) == kept);
  signal(SIGUSR1, kept);
  interrupt_main(SIGUSR1);
  check_interrupts();
  EXPECT_EQ(seen, 14);
}

TEST_F(Signals, TheSystemsOwnConstantsAreUnderstood) {
  signal(SIGUSR1, SIG_IGN);
  EXPECT_TRUE(getsignal(SIGUSR1) == ignore);
  signal(SIGUSR1, SIG_DFL);
  EXPECT_TRUE(getsignal(SIGUSR1) == default_action);
}

TEST_F(Signals, BadRequestsAreRefused) {
  for (const int bad : {0, -1, 65, 1000}) {
    EXPECT_EQ(text_of<std::invalid_argument>([=] { signal(bad, ignore); }),
              "signal number out of range");
    EXPECT_EQ(text_of<std::invalid_argument>([=] { getsignal(bad); }),
              "signal number out of range");
    EXPECT_EQ(text_of<std::invalid_argument>([=] { interrupt_main(bad); }),
              "signal number out of range");
  }
  EXPECT_THROW(signal(SIGKILL, ignore), std::system_error);
  EXPECT_THROW(signal(SIGKILL, throw_caught), std::system_error);
  EXPECT_TRUE(getsignal(SIGKILL) == default_action);
  EXPECT_THROW(signal(SIGUSR1, std::function<void(int)>()), std::invalid_argument);
  std::thread([] {
    EXPECT_EQ(text_of<std::invalid_argument>([] { signal(SIGUSR1, ignore); }),
              "signal only works in main thread");
  }).join();
}

TEST_F(Signals, AForeignHandlerIsKnownAsSuchAndCanBePutBack) {
  static std::atomic<int> calls;
  struct sigaction action = {};
  action.sa_handler = [](int) { ++calls; };
  sigaction(SIGUSR1, &action, nullptr);
  EXPECT_TRUE(getsignal(SIGUSR1).is_foreign());
  const Handler before = signal(SIGUSR1, ignore);
  EXPECT_TRUE(before.is_foreign());
  raise(SIGUSR1);
  EXPECT_EQ(calls, 0);
  signal(SIGUSR1, before);
  raise(SIGUSR1);
  EXPECT_EQ(calls, 1);
  interrupt_main(SIGUSR1);  // not ours: nothing happens
  check_interrupts();
  EXPECT_EQ(calls, 1);
}

TEST_F(Signals, SettingWhatGetsignalGivesChangesNothing) {
  const auto action_of = [](int signum) {
    struct sigaction action = {};
    sigaction(signum, nullptr, &action);
    return action;
  };
  struct sigaction action = {};
  action.sa_sigaction = [](int, siginfo_t*, void*) {};
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  sigaddset(&action.sa_mask, SIGUSR2);
  sigaction(SIGUSR1, &action, nullptr);
  signal(SIGUSR1, getsignal(SIGUSR1));
  const struct sigaction now = action_of(SIGUSR1);
  EXPECT_EQ(now.sa_sigaction, action.sa_sigaction);
  EXPECT_EQ(now.sa_flags & (SA_SIGINFO | SA_NODEFER), SA_SIGINFO | SA_NODEFER);
  EXPECT_EQ(sigismember(&now.sa_mask, SIGUSR2), 1);
  EXPECT_TRUE(getsignal(SIGUSR1) == getsignal(SIGUSR1));
  for (const Handler& handler : {Handler(ignore), Handler(default_action), Handler(throw_caught)}) {
    signal(SIGUSR1, handler);
    signal(SIGUSR1, getsignal(SIGUSR1));
    EXPECT_TRUE(getsignal(SIGUSR1) == handler);
  }
}

TEST_F(Signals, OneThatAnotherLibraryHasTakenIsForeignAndIsPutBackAsThatsOwn) {
  static std::atomic<int> theirs;
  theirs = 0;
  int ours = 0;
  const auto take = [](void (*handler)(int)) {
    struct sigaction action = {};
    action.sa_handler = handler;
    sigaction(SIGUSR1, &action, nullptr);
  };
  // Two of them, one after the other: each is remembered by whoever asks while it is there.
  take([](int) { ++theirs; });
  const Handler first = signal(SIGUSR1, [&](int) { ++ours; });
  take([](int) { theirs = theirs + 10; });
  const Handler second = getsignal(SIGUSR1);
  EXPECT_TRUE(first.is_foreign());
  EXPECT_TRUE(second.is_foreign());
  EXPECT_FALSE(first == second);
  interrupt_main(SIGUSR1);
  check_interrupts();
  EXPECT_EQ(ours, 0);
  EXPECT_TRUE(signal(SIGUSR1, first) == second);
  raise(SIGUSR1);
  EXPECT_EQ(theirs, 1);
  signal(SIGUSR1, second);
  raise(SIGUSR1);
  EXPECT_EQ(theirs, 11);
}

TEST_F(Signals, OneThatAnotherLibraryTakesAndPassesOnRunsOurHandler) {
  static struct sigaction before;
  int ours = 0;
  signal(SIGUSR1, [&](int) { ++ours; });
  struct sigaction action = {};
  action.sa_sigaction = [](int signum, siginfo_t* info, void* context) {
    before.sa_sigaction(signum, info, context);
  };
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGUSR1, &action, &before);
  ASSERT_TRUE((before.sa_flags & SA_SIGINFO) != 0);
  raise(SIGUSR1);
  check_interrupts();
  EXPECT_EQ(ours, 1);
}

TEST_F(Signals, NoReadOrWriteOfTheProgramsEndsByOne) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer holds handlers back until a call returns, so it has to";
#endif
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  std::atomic<int> handled{0};
  signal(SIGUSR1, [&](int) { ++handled; });
  const pid_t here = getpid();
  Thread sender([&] {
    // A few while it reads, and then a byte.
    for (int i = 0; i < 20; ++i) {
      kill(here, SIGUSR1);
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(write(ends[1], "x", 1), 1);
  });
  char byte = 0;
  EXPECT_EQ(read(ends[0], &byte, 1), 1);
  sender.join();
  EXPECT_GE(handled, 1);
  close(ends[0]);
  close(ends[1]);
}

TEST_F(Signals, AFaultEndsTheProcessThoughItsSignalHasAHandler) {
  for (const int signum : {SIGSEGV, SIGFPE, SIGILL, SIGBUS}) {
    const int status = testing::status_of_child([signum] {
      const rlimit none = {0, 0};
      setrlimit(RLIMIT_CORE, &none);
      int handled = 0;
      signal(signum, [&](int) { ++handled; });
      // Sent by somebody it is a signal like any other.
      raise(signum);
      check_interrupts();
      if (handled != 1) return false;
      void* const nobodys = mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
      if (signum == SIGSEGV) *static_cast<volatile int*>(nobodys) = 1;
      if (signum == SIGILL) __builtin_trap();
      return true;
    });
    if (signum == SIGSEGV || signum == SIGILL) {
      EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == signum) << signum;
    } else {
      EXPECT_EQ(status, 0) << signum;
    }
  }
}

TEST_F(Signals, AHandlerRunsAsOrdinaryCodeAtASafePointAndNotBefore) {
  std::vector<int> seen;
  signal(SIGUSR1, [&](int signum) { seen.push_back(signum); });
  raise(SIGUSR1);
  EXPECT_TRUE(seen.empty());
  check_interrupts();
  EXPECT_EQ(seen, std::vector<int>{SIGUSR1});
  check_interrupts();
  EXPECT_EQ(seen.size(), 1u);
}

TEST_F(Signals, WhatAHandlerThrowsLeavesTheSafePointAndTheRestStaysDue) {
  std::vector<int> seen;
  signal(SIGUSR1, throw_caught);
  signal(SIGUSR2, [&](int signum) { seen.push_back(signum); });
  raise(SIGUSR2);
  raise(SIGUSR1);
  EXPECT_THROW(check_interrupts(), Caught);  // SIGUSR1 has the lower number
  EXPECT_TRUE(seen.empty());
  check_interrupts();
  EXPECT_EQ(seen, std::vector<int>{SIGUSR2});
}

TEST_F(Signals, ASignalResetBeforeItsHandlerRanIsDropped) {
  int calls = 0;
  signal(SIGUSR1, [&](int) { ++calls; });
  raise(SIGUSR1);
  signal(SIGUSR1, ignore);
  check_interrupts();
  EXPECT_EQ(calls, 0);
}

TEST_F(Signals, ARealSignalEndsAMainThreadsWaitAtOnce) {
  signal(SIGINT, default_int_handler);
  const pthread_t main = pthread_self();
  const auto ctrl_c = [main] { pthread_kill(main, SIGINT); };
  Lock lock;
  lock.acquire();
  while_main_waits([&] { EXPECT_THROW(lock.acquire(), KeyboardInterrupt); }, ctrl_c);
  while_main_waits([&] { EXPECT_THROW((void)lock.acquire(true, 3600), KeyboardInterrupt); },
                   ctrl_c);
  while_main_waits([&] { EXPECT_THROW(sleep_for(1h), KeyboardInterrupt); }, ctrl_c);
  Thread slow([&] { lock.lock(); });
  while_main_waits([&] { EXPECT_THROW(slow.join(), KeyboardInterrupt); }, ctrl_c);
  lock.release();
  slow.join();
}

TEST_F(Signals, ASignalThatAnotherThreadReceivesReachesTheMainThread) {
  signal(SIGUSR1, throw_caught);
  while_main_waits([&] { EXPECT_THROW(sleep_for(1h), Caught); },
                   [] { pthread_kill(pthread_self(), SIGUSR1); });
}

TEST_F(Signals, ASimulatedSignalEndsAMainThreadsWaitAtOnce) {
  signal(SIGINT, default_int_handler);
  Lock lock;
  lock.acquire();
  const auto simulate = [] { interrupt_main(); };
  while_main_waits([&] { EXPECT_THROW(lock.acquire(), KeyboardInterrupt); }, simulate);
  while_main_waits([&] { EXPECT_THROW(sleep_for(1h), KeyboardInterrupt); }, simulate);
  EXPECT_EQ(lock.owner(), get_ident());
}

TEST_F(Signals, ASimulatedSignalIsNotEmitted) {
  // With the real one, sigwait in another thread would see it.
  sigset_t only;
  sigset_t before;
  sigemptyset(&only);
  sigaddset(&only, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &only, &before);
  int calls = 0;
  signal(SIGUSR1, [&](int) { ++calls; });
  interrupt_main(SIGUSR1);
  sigset_t pending;
  sigpending(&pending);
  EXPECT_FALSE(sigismember(&pending, SIGUSR1));
  check_interrupts();
  EXPECT_EQ(calls, 1);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_F(Signals, SimulatingADefaultOrIgnoredSignalDoesNothing) {
  signal(SIGTERM, default_action);
  interrupt_main(SIGTERM);
  signal(SIGUSR1, ignore);
  interrupt_main(SIGUSR1);
  interrupt_main(SIGINT);  // never set by anyone
  check_interrupts();
  sleep_for(1ms);
  // Nor later, when there is a handler.
  int calls = 0;
  interrupt_main(SIGUSR2);
  signal(SIGUSR2, [&](int) { ++calls; });
  check_interrupts();
  EXPECT_EQ(calls, 0);
}

TEST_F(Signals, AHandlerThatReturnsLetsTheWaitGoOn) {
  int calls = 0;
  signal(SIGUSR1, [&](int) { ++calls; });
  Lock lock;
  lock.acquire();
  while_main_waits(
      [&] { EXPECT_TRUE(lock.acquire(true, 3600)); },
      [&] {
        interrupt_main(SIGUSR1);
        EXPECT_TRUE(eventually([&] { return !lot::main_thread.load()->pending.load(); }));
        lock.release();
      });
  EXPECT_EQ(calls, 1);
}

TEST_F(Signals, AHandlerMayWaitAndLockAndBeInterruptedItself) {
  signal(SIGUSR1, [](int) {
    Lock lock;
    lock.acquire();
    EXPECT_FALSE(lock.acquire(true, 1ms));
    interrupt_main(SIGUSR2);
    sleep_for(1h);
  });
  signal(SIGUSR2, throw_caught);
  interrupt_main(SIGUSR1);
  EXPECT_THROW(check_interrupts(), Caught);
}

TEST_F(Signals, AHandlerMayWaitForWhatTheHandlerOfAnotherSignalDoes) {
  Lock lock;
  lock.acquire();
  signal(SIGUSR1, [&](int) { EXPECT_TRUE(lock.acquire(true, 3600)); });
  signal(SIGUSR2, [&](int) { lock.release(); });
  raise(SIGUSR1);
  raise(SIGUSR2);
  check_interrupts();
  EXPECT_TRUE(lock.locked());
}

TEST_F(Signals, OtherThreadsAreNotDisturbed) {
  signal(SIGUSR1, throw_caught);
  Lock gate;
  gate.acquire();
  Thread other([&] { gate.acquire(); });
  ASSERT_TRUE(eventually_waits(other));
  pthread_kill(static_cast<pthread_t>(other.ident()), SIGUSR1);
  EXPECT_THROW(sleep_for(1h), Caught);
  EXPECT_FALSE(other.is_done());
  gate.release();
  other.join();
}

TEST_F(Signals, AHandlerRunsOnceAtASafePointHoweverOftenItsSignalComes) {
  int calls = 0;
  underthread::signal(SIGUSR1, [&](int) {
    ++calls;
    raise(SIGUSR1);
  });
  raise(SIGUSR1);
  for (int turn = 1; turn < 4; ++turn) {
    check_interrupts();
    EXPECT_EQ(calls, turn);
  }
  signal(SIGUSR1, default_action);
  check_interrupts();
}

struct sigaction before_theirs = {};

TEST_F(Signals, WhatAnotherLibraryCallsOfOursIsStillCalledOnceItIsPutBack) {
  int calls = 0;
  underthread::signal(SIGUSR1, [&](int) { ++calls; });
  struct sigaction theirs = {};
  theirs.sa_flags = SA_SIGINFO;
  theirs.sa_sigaction = [](int signum, siginfo_t* info, void* context) {
    before_theirs.sa_sigaction(signum, info, context);
  };
  ASSERT_EQ(sigaction(SIGUSR1, &theirs, &before_theirs), 0);
  signal(SIGUSR1, getsignal(SIGUSR1));
  raise(SIGUSR1);
  check_interrupts();
  EXPECT_EQ(calls, 1);
}

TEST_F(Signals, ADefaultThatLeavesNoChildrenBehindStaysSoWhenItIsPutBack) {
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  action.sa_flags = SA_NOCLDWAIT;
  ASSERT_EQ(sigaction(SIGCHLD, &action, nullptr), 0);
  const Handler before = signal(SIGCHLD, [](int) {});
  EXPECT_TRUE(before == default_action);
  signal(SIGCHLD, before);
  ASSERT_EQ(sigaction(SIGCHLD, nullptr, &action), 0);
  EXPECT_TRUE(action.sa_flags & SA_NOCLDWAIT);
  EXPECT_EQ(action.sa_handler, SIG_DFL);
  signal(SIGCHLD, default_action);
  ASSERT_EQ(sigaction(SIGCHLD, nullptr, &action), 0);
  EXPECT_FALSE(action.sa_flags & SA_NOCLDWAIT);
}

}  // namespace
}  // namespace underthread
