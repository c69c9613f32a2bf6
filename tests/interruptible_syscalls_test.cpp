#include <underthread/interruptible_syscalls.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::status_of_child;
using testing::text_of;

struct Stop {};

bool stop(Ident ident) {
  return interrupt(ident, std::make_exception_ptr(Stop()));
}

void do_nothing(int) {}

bool is_asleep(std::uint64_t native_id) {
  std::ifstream status("/proc/self/task/" + std::to_string(native_id) + "/stat");
  std::string number, name, state;
  status >> number >> name >> state;
  return state == "S";
}

bool is_handled(int signum) {
  struct sigaction action = {};
  sigaction(signum, nullptr, &action);
  return action.sa_handler != SIG_DFL;
}

class InterruptibleSyscallsTest : public ::testing::Test {
 protected:
  InterruptibleSyscallsTest() { EXPECT_EQ(pipe(pipe_.data()), 0); }
  ~InterruptibleSyscallsTest() override {
    for (const int end : pipe_) close(end);
  }

  // Waits for a byte as C does: what read says.
  ssize_t read_byte() {
    char byte = 0;
    return read(pipe_[0], &byte, 1);
  }
  // It reads on, and is told at its next safe point.
  void interrupt_a_reader_outside_of_scopes() {
    Thread reader([this] {
      EXPECT_EQ(read_byte(), 1);
      EXPECT_THROW(check_interrupts(), Stop);
    });
    EXPECT_TRUE(stop(reader.ident()));
    write_byte();
    reader.join();
  }
  void write_byte() { EXPECT_EQ(write(pipe_[1], "x", 1), 1); }

  std::array<int, 2> pipe_{};
};

// In a process of its own, which has had no scope.
#define EXPECT_IN_ANOTHER_PROCESS(body)           \
  GTEST_FLAG_SET(death_test_style, "threadsafe"); \
  EXPECT_EXIT(_exit([&]() -> bool body() ? 0 : 1), ::testing::ExitedWithCode(0), "")

TEST_F(InterruptibleSyscallsTest, ANumberThatIsNoSignalsIsRefused) {
  EXPECT_IN_ANOTHER_PROCESS({
    setenv("UNDERTHREAD_NUDGE", "SIGURG", 1);
    return text_of<std::invalid_argument>([] { const InterruptibleSyscalls scope; }) ==
           "UNDERTHREAD_NUDGE is no signal's number";
  });
}

TEST_F(InterruptibleSyscallsTest, TheNumberCanBeSet) {
  EXPECT_IN_ANOTHER_PROCESS({
    setenv("UNDERTHREAD_NUDGE", "40", 1);
    const InterruptibleSyscalls scope;
    stop(get_ident());
    return is_handled(40) && !is_handled(SIGURG) && read_byte() == -1 && errno == EINTR;
  });
}

TEST_F(InterruptibleSyscallsTest, ANumberThatIsTakenIsRefused) {
  EXPECT_IN_ANOTHER_PROCESS({
    setenv("UNDERTHREAD_NUDGE", "40", 1);
    std::signal(40, do_nothing);
    return text_of<error>([] { const InterruptibleSyscalls scope; }) ==
           "the signal of UNDERTHREAD_NUDGE is used by the program";
  });
}

TEST_F(InterruptibleSyscallsTest, WithoutATimerOfTheSystemsItEndsACallAllTheSame) {
  EXPECT_EQ(status_of_child([this] {
              rlimit none = {0, 0};
              getrlimit(RLIMIT_SIGPENDING, &none);
              none.rlim_cur = 0;
              setrlimit(RLIMIT_SIGPENDING, &none);
              const Ident me = get_ident();
              const std::uint64_t here = get_native_id();
              Thread other([me, here] {
                // Once, since there is no timer: so not before it is in its call.
                while (!is_asleep(here)) std::this_thread::yield();
                stop(me);
              });
              const InterruptibleSyscalls scope;
              const bool ended = read_byte() == -1 && errno == EINTR && take_interrupt();
              other.join();
              return ended;
            }),
            0);
}

TEST_F(InterruptibleSyscallsTest, NothingIsEndedWhereNothingWasSent) {
  // The main thread becomes known in the scope; and a thread has a record that another was poked
  // by.
  for (const bool is_known : {false, true})
    EXPECT_EQ(status_of_child([this, is_known] {
                if (is_known) check_interrupts();
                lot::interrupt(*lot::current());
                std::signal(SIGALRM, [](int) { _exit(0); });
                const itimerval soon = {{0, 0}, {0, 50'000}};
                setitimer(ITIMER_REAL, &soon, nullptr);
                const InterruptibleSyscalls scope;
                read_byte();
                return false;
              }),
              0);
}

TEST_F(InterruptibleSyscallsTest, ATimerOfTheSystemsGoesWithItsThread) {
  const auto timers = [] {
    std::ifstream lines("/proc/self/timers");
    int found = 0;
    for (std::string line; std::getline(lines, line);) found += line.starts_with("ID:");
    return found;
  };
  const int before = timers();
  for (int turn = 0; turn < 20; ++turn) Thread([] { const InterruptibleSyscalls scope; }).join();
  EXPECT_EQ(timers(), before);
}

TEST_F(InterruptibleSyscallsTest, ANudgeThatIsBlockedInTheScopeEndsNothingBehindIt) {
  std::atomic<bool> is_over{false};
  const auto is_pending = [] {
    sigset_t pending;
    return sigpending(&pending) == 0 && sigismember(&pending, SIGURG) == 1;
  };
  Thread reader([&] {
    sigset_t urgent;
    sigemptyset(&urgent);
    sigaddset(&urgent, SIGURG);
    {
      const InterruptibleSyscalls scope;
      pthread_sigmask(SIG_BLOCK, &urgent, nullptr);
      stop(get_ident());
      EXPECT_TRUE(eventually(is_pending));
    }
    EXPECT_FALSE(is_pending());
    is_over = true;
    EXPECT_NE(take_interrupt(), nullptr);
  });
  reader.join();
  EXPECT_TRUE(is_over);
}

TEST_F(InterruptibleSyscallsTest, AnInterruptEndsACall) {
  Thread reader([this] {
    const InterruptibleSyscalls scope;
    EXPECT_EQ(read_byte(), -1);
    EXPECT_EQ(errno, EINTR);
    EXPECT_THROW(check_interrupts(), Stop);
  });
  EXPECT_TRUE(stop(reader.ident()));
  reader.join();
}

TEST_F(InterruptibleSyscallsTest, NoInterruptIsLostHoweverItFalls) {
  for (int turn = 0; turn < 2000; ++turn) {
    std::atomic<bool> begun{false};
    Thread reader([&] {
      begun = true;
      EXPECT_THROW(interruptible_syscall([this] { return read_byte(); }), Stop);
    });
    while (!begun) {
    }
    for (int wait = 0; wait < turn; ++wait) begun.load();
    EXPECT_TRUE(stop(reader.ident()));
    reader.join();
  }
}

TEST_F(InterruptibleSyscallsTest, EachOfSeveralEndsACallOnce) {
  int ended = 0;
  Thread reader([&] {
    while (ended < 100) {
      try {
        interruptible_syscall([this] { return read_byte(); });
      } catch (const Stop&) {
        ++ended;
      }
    }
    check_interrupts();
  });
  for (int sent = 0; sent < 100; ++sent) EXPECT_TRUE(stop(reader.ident()));
  reader.join();
  EXPECT_EQ(ended, 100);
}

TEST_F(InterruptibleSyscallsTest, InterruptMainEndsACallOfTheMainThread) {
  int handled = 0;
  signal(SIGUSR1, [&](int) { ++handled; });
  const InterruptibleSyscalls scope;
  Thread other([] { interrupt_main(SIGUSR1); });
  EXPECT_EQ(read_byte(), -1);
  EXPECT_EQ(errno, EINTR);
  check_interrupts();
  EXPECT_EQ(handled, 1);
  other.join();
  signal(SIGUSR1, default_action);
}

TEST_F(InterruptibleSyscallsTest, ASignalThatAnotherThreadTakesEndsACallOfTheMainThread) {
  signal(SIGUSR1, [](int) { throw Stop(); });
  for (int turn = 0; turn < 200; ++turn) {
    Thread other([] { pthread_kill(pthread_self(), SIGUSR1); });
    EXPECT_THROW(interruptible_syscall([this] { return read_byte(); }), Stop);
    other.join();
  }
  signal(SIGUSR1, default_action);
}

// It comes between the last look and the call, too: nothing else would end that.
TEST_F(InterruptibleSyscallsTest, ASignalThatTheMainThreadTakesJustBeforeItsCallIsNotLost) {
  signal(SIGUSR1, [](int) { throw Stop(); });
  EXPECT_THROW(interruptible_syscall([this] {
                 std::raise(SIGUSR1);
                 return read_byte();
               }),
               Stop);
  signal(SIGUSR1, default_action);
}

TEST_F(InterruptibleSyscallsTest, WithoutAScopeACallGoesOn) {
  interrupt_a_reader_outside_of_scopes();
}

TEST_F(InterruptibleSyscallsTest, OnceTheScopeIsLeftNoCallIsEnded) {
  for (int turn = 0; turn < 2000; ++turn) {
    std::atomic<bool> begun{false};
    Thread reader([&] {
      {
        const InterruptibleSyscalls scope;
        begun = true;
      }
      EXPECT_EQ(read_byte(), 1);
      EXPECT_THROW(check_interrupts(), Stop);
    });
    while (!begun) {
    }
    EXPECT_TRUE(stop(reader.ident()));
    write_byte();
    reader.join();
  }
}

TEST_F(InterruptibleSyscallsTest, ScopesNest) {
  const InterruptibleSyscalls scope;
  {
    const InterruptibleSyscalls inner;
    stop(get_ident());
  }
  EXPECT_EQ(read_byte(), -1);
  EXPECT_THROW(check_interrupts(), Stop);
}

TEST_F(InterruptibleSyscallsTest, WhatIsPendingAlreadyEndsTheFirstCall) {
  stop(get_ident());
  const InterruptibleSyscalls scope;
  EXPECT_EQ(read_byte(), -1);
  EXPECT_THROW(check_interrupts(), Stop);
}

TEST_F(InterruptibleSyscallsTest, CallsAreEndedUntilTheThreadLooks) {
  const InterruptibleSyscalls scope;
  stop(get_ident());
  for (int call = 0; call < 4; ++call) EXPECT_EQ(read_byte(), -1);
  EXPECT_THROW(check_interrupts(), Stop);
  write_byte();
  EXPECT_EQ(read_byte(), 1);
}

TEST_F(InterruptibleSyscallsTest, WhileInterruptsAreHeldOffNoCallIsEnded) {
  std::atomic<bool> held{false};
  Thread reader([&] {
    const InterruptibleSyscalls scope;
    {
      const HoldInterrupts hold;
      held = true;
      EXPECT_EQ(read_byte(), 1);
    }
    EXPECT_EQ(read_byte(), -1);
    EXPECT_THROW(check_interrupts(), Stop);
  });
  ASSERT_TRUE(eventually([&] { return held.load(); }));
  EXPECT_TRUE(stop(reader.ident()));
  write_byte();
  reader.join();
}

TEST_F(InterruptibleSyscallsTest, WhileTheStackIsUnwoundNoCallIsEnded) {
  struct CleanUp {
    int& calls;
    ~CleanUp() {
      // Nothing can be thrown here, so a call that ends would only begin again.
      const int ready = interruptible_syscall([this] {
        ++calls;
        return poll(nullptr, 0, 150);
      });
      EXPECT_EQ(ready, 0);
    }
  };
  int calls = 0;
  stop(get_ident());
  try {
    const CleanUp clean_up{calls};
    throw 1;
  } catch (int) {
  }
  EXPECT_EQ(calls, 1);
  {
    const InterruptibleSyscalls outer;
    try {
      const CleanUp clean_up{calls};
      throw 1;
    } catch (int) {
    }
    EXPECT_EQ(calls, 2);
    // Of the outer one calls are ended again.
    EXPECT_EQ(read_byte(), -1);
  }
  EXPECT_THROW(check_interrupts(), Stop);
}

TEST_F(InterruptibleSyscallsTest, AHandlerForTheNudgesSignalIsNotCalledForThem) {
  EXPECT_EQ(status_of_child([this] {
              static std::atomic<int> calls{0};
              std::atomic<bool> is_in{false};
              bool ended = false;
              Thread reader([&] {
                const InterruptibleSyscalls scope;
                is_in = true;
                try {
                  for (;;) {
                    check_interrupts();
                    if (read_byte() == 1) return;
                  }
                } catch (const Stop&) {
                  ended = true;
                }
              });
              while (!is_in) std::this_thread::yield();
              if (!(getsignal(SIGURG) == default_action)) return false;
              underthread::signal(SIGURG, [](int) { ++calls; });
              stop(reader.ident());
              reader.join();
              check_interrupts();
              if (!ended || calls != 0) return false;
              raise(SIGURG);
              check_interrupts();
              return calls == 1;
            }),
            0);
}

TEST_F(InterruptibleSyscallsTest, WhatIsNotEintrIsReturned) {
  write_byte();
  EXPECT_EQ(interruptible_syscall([this] { return read_byte(); }), 1);
  EXPECT_EQ(interruptible_syscall([] { return close(-1); }), -1);
  EXPECT_EQ(errno, EBADF);
}

TEST_F(InterruptibleSyscallsTest, AHandlerThatReturnsLeavesTheCallToGoOn) {
  signal(SIGUSR1, [this](int) { write_byte(); });
  Thread other([] { interrupt_main(SIGUSR1); });
  EXPECT_EQ(interruptible_syscall([this] { return read_byte(); }), 1);
  other.join();
  signal(SIGUSR1, default_action);
}

TEST_F(InterruptibleSyscallsTest, ALimitEndsACallAtItsTime) {
  const InterruptibleSyscalls scope;
  const TimeLimit limit(5ms);
  EXPECT_THROW(interruptible_syscall([this] { return read_byte(); }), TimeoutError);
  EXPECT_TRUE(limit.expired());
}

TEST_F(InterruptibleSyscallsTest, ALimitThatIsLeftEndsNoCall) {
  const InterruptibleSyscalls scope;
  {
    const TimeLimit limit(1ms);
    while (!limit.expired()) {
    }
  }
  write_byte();
  EXPECT_EQ(read_byte(), 1);
  check_interrupts();
}

TEST_F(InterruptibleSyscallsTest, AnInterruptBeforeALimitLeavesTheLimitInForce) {
  const InterruptibleSyscalls scope;
  const TimeLimit limit(20ms);
  stop(get_ident());
  EXPECT_THROW(interruptible_syscall([this] { return read_byte(); }), Stop);
  EXPECT_THROW(interruptible_syscall([this] { return read_byte(); }), TimeoutError);
}

TEST_F(InterruptibleSyscallsTest, AScopeGoesOnInTheChildOfAFork) {
  const InterruptibleSyscalls scope;
  EXPECT_EQ(status_of_child([this] {
              Thread other([main = get_ident()] { stop(main); });
              const bool ended = read_byte() == -1 && errno == EINTR;
              try {
                check_interrupts();
              } catch (const Stop&) {
                return ended;
              }
              return false;
            }),
            0);
}

TEST_F(InterruptibleSyscallsTest, AThreadThatHasTheRecordOfAnotherIsNotInItsScope) {
  for (int turn = 0; turn < 3; ++turn) {
    Thread first([] { const InterruptibleSyscalls scope; });
    first.join();
  }
  interrupt_a_reader_outside_of_scopes();
}

// The program's own handler for the number that is in use: another is taken.
TEST_F(InterruptibleSyscallsTest, AHandlerOfTheProgramsIsLeftAlone) {
  { const InterruptibleSyscalls scope; }
  static std::atomic<int> theirs{0};
  std::signal(SIGURG, [](int) { ++theirs; });
  {
    const InterruptibleSyscalls scope;
    stop(get_ident());
    EXPECT_EQ(read_byte(), -1);
    EXPECT_THROW(check_interrupts(), Stop);
  }
  EXPECT_TRUE(is_handled(SIGURG));
  EXPECT_EQ(theirs, 0);
  std::signal(SIGURG, SIG_DFL);
}

}  // namespace
}  // namespace underthread
