// What test_system_calls.py has strace look at. Between the lines "begin <work>" and "end <work>"
// that this program writes there are `turns` turns of the work and nothing else but what it takes
// to see that a thread sleeps: files of /proc, and the clock.
#include <underthread/underthread.h>

#include <array>
#include <atomic>
#include <cstdio>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::is_asleep;
using testing::waits_for;

constexpr int turns = 50;

/// A line for strace to see. Not by stdio, which may keep it; and nothing is allocated here or
/// below, since the allocator asks the system for memory now and then.
void say(const char* what, const char* work) {
  std::array<char, 64> line{};
  const int size = std::snprintf(line.data(), line.size(), "%s %s\n", what, work);
  if (write(STDOUT_FILENO, line.data(), static_cast<std::size_t>(size)) < 0) std::perror("write");
}

template <class Work>
void between_lines(const char* name, Work work) {
  say("begin", name);
  work();
  say("end", name);
}

/// A thread that waits for a lock which is held, and each time that it gets it waits again.
class Waiter {
 public:
  explicit Waiter(Lock& held) : lock_(held) {}

  /// It has taken the lock so many times, and sleeps for the next.
  bool eventually_sleeps(int taken) {
    return eventually([&] {
      return taken_.load() == taken && waits_for(thread_.ident()) == &lock_ && is_asleep(id_);
    });
  }

 private:
  void wait() {
    for (int turn = 0; turn <= turns; ++turn) {
      lock_.acquire();
      ++taken_;
    }
    lock_.release();
  }

  Lock& lock_;
  std::atomic<int> taken_{0};
  Thread thread_{[this] { wait(); }};  // joined before the rest goes
  const std::uint64_t id_ = thread_.native_id();
};

bool release_to_a_sleeper(const char* name, Lock& lock, std::chrono::milliseconds after) {
  lock.acquire();
  Waiter waiter(lock);
  bool all = waiter.eventually_sleeps(0);
  between_lines(name, [&] {
    for (int turn = 1; turn <= turns; ++turn) {
      const auto since = std::chrono::steady_clock::now();
      while (std::chrono::steady_clock::now() - since < after) {
      }
      lock.release();
      all = waiter.eventually_sleeps(turn) && all;
    }
  });
  lock.release();
  return all;
}

void take_and_let_go(Lock& lock) {
  for (int turn = 0; turn < turns; ++turn) {
    lock.acquire();
    static_cast<void>(lock.acquire(false));
    static_cast<void>(lock.locked());
    lock.release();
    lock.lock();
    lock.unlock();
  }
}

void take_and_let_go(RLock& lock) {
  for (int turn = 0; turn < turns; ++turn) {
    lock.acquire();
    lock.acquire();
    lock.release();
    lock.release();
  }
}

int run() {
#ifdef __SANITIZE_THREAD__
  std::puts("with ThreadSanitizer no sleep is longer than 100 ms: src/os/thread_sanitizer.h");
  return 77;
#endif
  std::printf("{\"turns\": %d, \"futex\": \"%s\"}\n", turns, UNDERTHREAD_FUTEX);
  std::fflush(stdout);
  // A thread's first use and its first safe point are another work.
  get_native_id();
  check_interrupts();
  Lock lock;
  RLock rlock;
  between_lines("nobody-else", [&] {
    take_and_let_go(lock);
    take_and_let_go(rlock);
  });
  bool all = release_to_a_sleeper("release-to-a-sleeper", lock, 0ms);
  // Longer than a waiter waits before it is handed the lock.
  all = release_to_a_sleeper("release-after-a-while", lock, 2ms) && all;
  between_lines("nobody-else-any-more", [&] { take_and_let_go(lock); });
  lock.acquire();
  between_lines("time-out", [&] {
    for (int turn = 0; turn < turns; ++turn) all = !lock.acquire(true, 1ms) && all;
  });
  // The word still says that somebody may wait.
  between_lines("nobody-waits-any-more", [&] { lock.release(); });
  if (!all) std::puts("a thread did not sleep, or took a lock that was held");
  return all ? 0 : 1;
}

}  // namespace
}  // namespace underthread

int main() {
  return underthread::run();
}
