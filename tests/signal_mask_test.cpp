#include "os/signal_mask.h"

#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <ctime>
#include <initializer_list>
#include <thread>

#include <gtest/gtest.h>
#include <unistd.h>

#include "os/futex.h"
#include "os/native_thread.h"
#include "os/nudge.h"

namespace underthread::os {
namespace {

void nothing() {}

class Signals {
 public:
  explicit Signals(std::initializer_list<int> numbers) {
    sigemptyset(&set_);
    for (const int number : numbers) sigaddset(&set_, number);
  }
  const sigset_t* operator&() const { return &set_; }
  void block() const { EXPECT_EQ(pthread_sigmask(SIG_BLOCK, &set_, nullptr), 0); }
  void unblock() const { EXPECT_EQ(pthread_sigmask(SIG_UNBLOCK, &set_, nullptr), 0); }

 private:
  sigset_t set_;
};

// Waits until the thread is seen to wait for that, and says whether it ever is.
bool comes_to_wait_for(std::uint64_t native_id, int signum, WaitsFor wanted) {
  for (int look = 0; look < 100'000; ++look) {
    if (waits_for(native_id, signum, 1) == wanted) return true;
    std::this_thread::yield();
  }
  return false;
}

// Runs `wait` in a thread, and hands its number to `look` meanwhile.
template <class Wait, class Look>
void while_a_thread(Wait wait, Look look) {
  std::atomic<std::uint64_t> id{0};
  std::thread thread([&] {
    id = thread_native_id();
    wait();
  });
  while (id == 0) std::this_thread::yield();
  look(id);
  thread.join();
}

TEST(SignalMaskTest, AThreadInSigwaitWaitsForTheSignalsOfItsSetAndForNoOthers) {
  const Signals wanted{SIGURG, SIGUSR1};
  wanted.block();
  while_a_thread(
      [&] {
        int got = 0;
        EXPECT_EQ(sigwait(&wanted, &got), 0);
        EXPECT_EQ(got, SIGUSR1);
      },
      [&](std::uint64_t id) {
        EXPECT_TRUE(comes_to_wait_for(id, SIGURG, WaitsFor::the_signal));
        EXPECT_NE(waits_for(id, SIGUSR2, 1), WaitsFor::the_signal);
        kill(getpid(), SIGUSR1);
      });
  wanted.unblock();
}

TEST(SignalMaskTest, AnotherSystemCallIsToldFromALockAndFromAThreadThatRuns) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  while_a_thread(
      [&] {
        char byte = 0;
        EXPECT_EQ(read(ends[0], &byte, 1), 1);
      },
      [&](std::uint64_t id) {
        EXPECT_TRUE(comes_to_wait_for(id, SIGURG, WaitsFor::another_call));
        EXPECT_EQ(write(ends[1], "", 1), 1);
      });
  for (const int end : ends) close(end);

  std::atomic<std::uint32_t> word{0};
  while_a_thread(
      [&] {
        while (word.load() == 0) futex_wait(word, 0, INT64_MAX);
      },
      [&](std::uint64_t id) {
        EXPECT_TRUE(comes_to_wait_for(id, SIGURG, WaitsFor::a_lock));
        word = 1;
        futex_wake_one(word);
      });

  std::atomic<bool> done{false};
  while_a_thread(
      [&] {
        while (!done.load()) {
        }
      },
      [&](std::uint64_t id) {
        EXPECT_EQ(waits_for(id, SIGURG, 3), WaitsFor::nothing);
        done = true;
      });
}

TEST(SignalMaskTest, OfAThreadThatIsNotThereNothingIsKnown) {
  EXPECT_EQ(waits_for(1u << 30, SIGURG, 3), WaitsFor::unknown);
}

TEST(SignalMaskTest, AThreadsNumberIsKnownByItsIdent) {
  EXPECT_EQ(native_id_of(thread_ident()), thread_native_id());
  std::thread([] { EXPECT_EQ(native_id_of(thread_ident()), thread_native_id()); }).join();
}

TEST(SignalMaskTest, NudgesThatWaitInAThreadAreTakenAndTheProgramsSignalsStay) {
  const int signum = Nudge::claim(0, nothing);
  const Signals only{signum};
  only.block();
  const struct timespec now = {};

  Nudge::send_once(thread_native_id(), signum);
  Nudge::discard(signum);
  EXPECT_EQ(sigtimedwait(&only, nullptr, &now), -1);

  pthread_kill(pthread_self(), signum);
  Nudge::discard(signum);
  EXPECT_EQ(sigtimedwait(&only, nullptr, &now), signum);

  kill(getpid(), signum);
  Nudge::discard(signum);
  EXPECT_EQ(sigtimedwait(&only, nullptr, &now), signum);
  only.unblock();
}

}  // namespace
}  // namespace underthread::os
