#include "os/thread_limits.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include "test_support.h"

namespace underthread::os {
namespace {

/// A machine's /proc and /sys, as far as limits go, with no limit reached.
class Machine {
 public:
  Machine() {
    put("/proc/sys/vm/max_map_count", "65530");
    put("/proc/sys/kernel/threads-max", "100000");
    put("/proc/sys/kernel/pid_max", "32768");
    put("/proc/loadavg", "0.00 0.01 0.05 2/300 4711");
    put("/proc/self/maps", "one\ntwo\n");
    put("/proc/self/cgroup", "0::/user/app\n");
    put("/sys/fs/cgroup/user/app/pids.max", "max");
    put("/sys/fs/cgroup/user/app/pids.current", "10");
  }
  ~Machine() { std::filesystem::remove_all(root_); }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  void put(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path) << text << '\n';
  }

  std::string why(int error = EAGAIN, std::size_t stack_size = 65'536) const {
    return why_no_thread(error, stack_size, root_);
  }

 private:
  static std::string make_root() {
    std::string name = (std::filesystem::temp_directory_path() / "machine-XXXXXX").string();
    return mkdtemp(name.data());
  }
  std::string root_ = make_root();
};

const std::string again = std::strerror(EAGAIN);

TEST(ThreadLimits, WithNothingReachedOnlyTheSystemsReasonIsGiven) {
  EXPECT_EQ(Machine().why(), again);
}

TEST(ThreadLimits, OtherErrorsAreTheSystemsReasonAlone) {
  EXPECT_EQ(Machine().why(EPERM), std::strerror(EPERM));
}

// What the C library takes from each stack of this program.
constexpr std::size_t large = 200'000;
thread_local volatile char thread_local_data[large];

TEST(ThreadLimits, AStackWithoutRoomForThreadLocalDataIsToldWithBoth) {
  thread_local_data[large - 1] = 1;  // or it would be left out
  const std::string why = Machine().why(EINVAL);
  const std::string begin =
      std::strerror(EINVAL) + std::string(": a stack of 65536 bytes has no room for the ");
  const std::string end = " bytes of thread-local data that the program and its libraries have";
  ASSERT_EQ(why.substr(0, begin.size()), begin);
  ASSERT_GT(why.size(), begin.size() + end.size());
  EXPECT_EQ(why.substr(why.size() - end.size()), end);
  EXPECT_GE(std::stoul(why.substr(begin.size())), large);
}

TEST(ThreadLimits, AThreadWhoseStackHasNoRoomForThreadLocalDataIsRefused) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer starts threads on larger stacks than they are asked for";
#endif
  const std::string why = testing::text_of<error>([] { Thread({.stack_size = 65'536}, [] {}); });
  EXPECT_EQ(why, "can't start new thread: " + why_no_thread(EINVAL, 65'536));
}

TEST(ThreadLimits, AStackThatCannotBeMappedIsToldWithItsSize) {
  EXPECT_EQ(Machine().why(EAGAIN, std::size_t{1} << 46),
            again + ": no memory for a stack of 70368744177664 bytes");
}

TEST(ThreadLimits, TooManyMappingsAreTold) {
  const Machine machine;
  machine.put("/proc/sys/vm/max_map_count", "4");
  EXPECT_EQ(machine.why(), again + ": vm.max_map_count allows this process 4 mappings");
}

TEST(ThreadLimits, AFullControlGroupIsNamed) {
  const Machine machine;
  machine.put("/sys/fs/cgroup/user/app/pids.max", "10");
  EXPECT_EQ(machine.why(), again + ": /sys/fs/cgroup/user/app/pids.max allows 10 threads");
}

TEST(ThreadLimits, AFullGroupAboveOursIsNamed) {
  const Machine machine;
  machine.put("/sys/fs/cgroup/user/pids.max", "500");
  machine.put("/sys/fs/cgroup/user/pids.current", "500");
  EXPECT_EQ(machine.why(), again + ": /sys/fs/cgroup/user/pids.max allows 500 threads");
}

TEST(ThreadLimits, AFullControlGroupOfVersionOneIsNamed) {
  const Machine machine;
  machine.put("/proc/self/cgroup", "9:name=systemd:/\n8:pids:/jail\n0::/\n");
  machine.put("/sys/fs/cgroup/pids/jail/pids.max", "7");
  machine.put("/sys/fs/cgroup/pids/jail/pids.current", "7");
  EXPECT_EQ(machine.why(), again + ": /sys/fs/cgroup/pids/jail/pids.max allows 7 threads");
}

/// A user whom the limit binds, which root is not, and who may have seven threads.
class BoundUser {
 public:
  BoundUser() {
    getrlimit(RLIMIT_NPROC, &before_);
    rlimit limit = before_;
    limit.rlim_cur = 7;
    setrlimit(RLIMIT_NPROC, &limit);
    // Still root where files are opened.
    if (was_root_ && setresuid(65534, 0, 0) != 0) ADD_FAILURE() << std::strerror(errno);
  }
  ~BoundUser() {
    if (was_root_ && setresuid(0, 0, 0) != 0) ADD_FAILURE() << std::strerror(errno);
    setrlimit(RLIMIT_NPROC, &before_);
  }

  static std::string status(uid_t user, int threads) {
    const std::string id = std::to_string(user);
    return "Name:\ta\nUid:\t" + id + "\t0\t0\t0\nThreads:\t" + std::to_string(threads);
  }

 private:
  const bool was_root_ = getuid() == 0;
  rlimit before_{};
};

TEST(ThreadLimits, AUserWithAllHisThreadsIsToldWhoseEachIsCountedOnce) {
  const Machine machine;
  const BoundUser user;
  machine.put("/proc/1/status", user.status(getuid() + 1, 100));
  machine.put("/proc/20/status", user.status(getuid(), 4));
  for (const char* process : {"300", "self", "thread-self"})
    machine.put(std::string("/proc/") + process + "/status", user.status(getuid(), 2));
  EXPECT_EQ(machine.why(), again) << "six of seven";
  machine.put("/proc/4000/status", user.status(getuid(), 1));
  EXPECT_EQ(machine.why(), again + ": RLIMIT_NPROC allows this user 7 threads, who has 7");
}

TEST(ThreadLimits, AMachineFullOfThreadsIsTold) {
  const Machine machine;
  machine.put("/proc/loadavg", "0.00 0.01 0.05 2/99990 4711");
  machine.put("/proc/sys/kernel/pid_max", "4194304");
  EXPECT_EQ(machine.why(), again + ": kernel.threads-max allows this machine 100000 threads");
}

TEST(ThreadLimits, AMachineOutOfThreadIdsIsTold) {
  const Machine machine;
  machine.put("/proc/loadavg", "0.00 0.01 0.05 2/32700 4711");
  EXPECT_EQ(machine.why(), again + ": kernel.pid_max allows this machine 32768 thread ids");
}

}  // namespace
}  // namespace underthread::os
