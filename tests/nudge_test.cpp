#include "os/nudge.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <numeric>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/futex.h"
#include "os/native_thread.h"

namespace underthread::os {
namespace {

constexpr std::size_t half_of_stacks = 1024 * 1024;

Nudge nudge;
std::atomic<int> wanted{0};
std::atomic<int> nudges{0};

void nudged() {
  nudges.fetch_add(1);
  if (wanted.load() > 0)
    nudge.again();
  else
    nudge.stop();
}

class NudgeTest : public ::testing::Test {
 protected:
  NudgeTest() {
    EXPECT_EQ(pipe(pipe_.data()), 0);
    nudges = 0;
    nudge.open();
  }
  ~NudgeTest() override {
    for (const int end : pipe_) close(end);
  }

  // A thread that reads what never comes, until it has been ended `ends` times.
  std::thread reader(int ends) {
    wanted = ends;
    std::atomic<std::uint64_t> id{0};
    std::thread thread([this, &id] {
      id = thread_native_id();
      while (wanted.load() > 0) {
        char byte = 0;
        EXPECT_EQ(read(pipe_[0], &byte, 1), -1);
        EXPECT_EQ(errno, EINTR);
        wanted.fetch_sub(1);
      }
    });
    while (id == 0) std::this_thread::yield();
    reader_id_ = id;
    return thread;
  }

  std::array<int, 2> pipe_{};
  std::uint64_t reader_id_ = 0;
};

TEST_F(NudgeTest, EndsSystemCallsUntilItIsNoLongerWanted) {
  std::thread thread = reader(6);
  EXPECT_TRUE(nudge.aim(reader_id_, Nudge::claim(0, nudged)));
  nudge.begin();
  thread.join();
  EXPECT_GE(nudges, 6);
}

// However it falls: before the call, between the look and the call, in the call.
TEST_F(NudgeTest, IsNotLostBeforeTheCall) {
  const int signum = Nudge::claim(0, nudged);
  for (int turn = 0; turn < 200; ++turn) {
    std::thread thread = reader(1);
    EXPECT_TRUE(nudge.aim(reader_id_, signum));
    nudge.begin();
    thread.join();
  }
}

// ThreadSanitizer's runtime loses the first signal of a thread so, now and then.
TEST_F(NudgeTest, ThoseThatAreTakenWithoutTheirHandlerAreFollowedByOthers) {
  const int signum = Nudge::claim(0, nudged);
  wanted = 1;
  EXPECT_TRUE(nudge.aim(thread_native_id(), signum));
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, signum);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  nudge.begin();
  for (int turn = 0; turn < 3; ++turn) {
    int taken = 0;
    EXPECT_EQ(sigwait(&signals, &taken), 0);
  }
  EXPECT_EQ(nudges, 0);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  char byte = 0;
  EXPECT_EQ(read(pipe_[0], &byte, 1), -1);
  EXPECT_EQ(errno, EINTR);
  wanted = 0;
  nudge.stop();
}

TEST_F(NudgeTest, ComesLaterWhereItIsAskedTo) {
  std::thread thread = reader(1);
  EXPECT_TRUE(nudge.aim(reader_id_, Nudge::claim(0, nudged)));
  nudge.begin_later();
  thread.join();
  EXPECT_GE(nudges, 1);
}

TEST_F(NudgeTest, ComesAtTheMomentThatWasSaid) {
  std::thread thread = reader(1);
  EXPECT_TRUE(nudge.aim(reader_id_, Nudge::claim(0, nudged)));
  const std::int64_t moment = now() + 5'000'000;
  nudge.begin_at(moment);
  thread.join();
  EXPECT_GE(now(), moment);
}

TEST_F(NudgeTest, DoesNothingWhileItIsClosed) {
  EXPECT_TRUE(nudge.aim(thread_native_id(), Nudge::claim(0, nudged)));
  nudge.close();
  nudge.begin();
  nudge.begin_later();
  nudge.begin_at(now());
  EXPECT_EQ(nudges, 0);
}

// Whatever others send meanwhile has come, or will not come, when it has closed. Every other time
// it stays open until one has come: the sender may not run at all while it is open for a moment.
TEST_F(NudgeTest, NothingComesOnceItHasClosed) {
  wanted = 1;
  EXPECT_TRUE(nudge.aim(thread_native_id(), Nudge::claim(0, nudged)));
  std::atomic<bool> over{false};
  // Then the sender waits for a step after each: else this thread may only run its handler.
  std::atomic<bool> stays_open{false};
  std::atomic<int> steps{0};
  std::thread sender([&] {
    while (!over) {
      const int before = steps;
      nudge.begin();
      while (stays_open && steps == before) std::this_thread::yield();
    }
  });
  for (int turn = 0; turn < 2000; ++turn) {
    int before = nudges;
    nudge.open();
    if (turn % 2 == 0) {
      stays_open = true;
      while (nudges == before) {
        steps.fetch_add(1);
        std::this_thread::yield();
      }
      stays_open = false;
    }
    nudge.close();
    before = nudges;
    const timespec moment = {0, 1000};
    EXPECT_EQ(nanosleep(&moment, nullptr), 0);
    EXPECT_EQ(nudges, before);
  }
  over = true;
  sender.join();
}

TEST_F(NudgeTest, CallsAllWhoHaveClaimed) {
  static std::atomic<int> calls{0};
  const int signum = Nudge::claim(0, nudged);
  const auto another = [] { calls.fetch_add(1); };
  EXPECT_EQ(Nudge::claim(0, another), signum);
  EXPECT_EQ(Nudge::claim(0, another), signum);
  calls = 0;
  raise(signum);
  EXPECT_EQ(nudges, 1);
  EXPECT_EQ(calls, 1);
}

TEST_F(NudgeTest, LeavesErrnoAlone) {
  const int signum = Nudge::claim(0, nudged);
  wanted = 0;
  errno = EDOM;
  raise(signum);
  EXPECT_EQ(errno, EDOM);
  EXPECT_EQ(nudges, 1);
}

// AddressSanitizer gives every thread an alternate stack, and with detect_stack_use_after_return
// gave away what was in the frames below a handler that ran there after an exception.
[[gnu::noinline]] void throw_and_catch() {
  try {
    throw 0;
  } catch (int) {
  }
}

// Its frame is as large as that of what the handler calls, and turns so often that frames come
// round again.
[[gnu::noinline]] int nudged_after_exceptions(int signum) {
  std::array<int, 8> counts{};
  for (std::size_t turn = 0; turn < 2'000; ++turn) {
    throw_and_catch();
    pthread_kill(pthread_self(), signum);
    ++counts[turn % counts.size()];
  }
  return std::accumulate(counts.begin(), counts.end(), 0);
}

void* on_an_alternate_stack(void* address) {
  const stack_t alternate = {.ss_sp = address, .ss_flags = 0, .ss_size = half_of_stacks};
  stack_t before = {};
  EXPECT_EQ(sigaltstack(&alternate, &before), 0);
  const int signum = Nudge::claim(0, nudged);
  nudge.aim(thread_native_id(), signum);
  nudge.begin_later();
  EXPECT_EQ(nudged_after_exceptions(signum), 2'000);
  EXPECT_EQ(sigaltstack(&before, nullptr), 0);
  return nullptr;
}

TEST_F(NudgeTest, LeavesTheFramesBelowItAlone) {
  // In one piece, so that the alternate stack is above the other, as it may be anywhere.
  std::vector<char> stacks(2 * half_of_stacks);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstack(&attributes, stacks.data(), half_of_stacks);
  pthread_t thread;
  char* const alternate = stacks.data() + half_of_stacks;
  ASSERT_EQ(pthread_create(&thread, &attributes, on_an_alternate_stack, alternate), 0);
  EXPECT_EQ(pthread_join(thread, nullptr), 0);
  pthread_attr_destroy(&attributes);
}

TEST_F(NudgeTest, ASignalThatIsHandledIsNotTaken) {
  const int before = Nudge::claim(0, nudged);
  EXPECT_EQ(before, SIGURG);
  struct sigaction theirs = {};
  theirs.sa_handler = [](int) {};
  sigaction(SIGURG, &theirs, nullptr);
  const int other = Nudge::claim(0, nudged);
  EXPECT_GT(other, SIGRTMIN);
  EXPECT_LT(other, SIGRTMAX);
  EXPECT_EQ(Nudge::claim(SIGURG, nudged), 0);
  struct sigaction found = {};
  sigaction(SIGURG, nullptr, &found);
  EXPECT_EQ(found.sa_handler, theirs.sa_handler);

  theirs.sa_handler = SIG_DFL;
  sigaction(SIGURG, &theirs, nullptr);
  signal(other, SIG_DFL);
  EXPECT_EQ(Nudge::claim(0, nudged), SIGURG);
}

TEST_F(NudgeTest, AnIgnoredSignalIsNotTaken) {
  signal(SIGURG, SIG_IGN);
  EXPECT_EQ(Nudge::claim(SIGURG, nudged), 0);
  signal(SIGURG, SIG_DFL);
  EXPECT_EQ(Nudge::claim(SIGURG, nudged), SIGURG);
  EXPECT_EQ(Nudge::claim(SIGKILL, nudged), 0);
}

TEST_F(NudgeTest, AForkChildAimsAnew) {
  const int signum = Nudge::claim(0, nudged);
  EXPECT_TRUE(nudge.aim(thread_native_id(), signum));
  const pid_t child = fork();
  if (child == 0) {
    Nudge::forget_all();
    wanted = 3;
    if (!nudge.aim(thread_native_id(), signum)) _exit(1);
    nudge.open();
    nudge.begin();
    char byte = 0;
    while (wanted.load() > 0) {
      if (read(pipe_[0], &byte, 1) != -1 || errno != EINTR) _exit(2);
      wanted.fetch_sub(1);
    }
    _exit(0);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(NudgeTest, AForkChildsIsClosedThoughItWasOpen) {
  const int signum = Nudge::claim(0, nudged);
  EXPECT_TRUE(nudge.aim(thread_native_id(), signum));
  const pid_t child = fork();
  if (child == 0) {
    Nudge::forget_all();
    if (!nudge.aim(thread_native_id(), signum)) _exit(1);
    nudge.begin();
    _exit(nudges == 0 ? 0 : 2);
  }
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace underthread::os
