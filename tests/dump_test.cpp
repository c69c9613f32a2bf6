#include <underthread/dump.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <mutex>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "lot/fork.h"
#include "lot/mutex.h"
#include "lot/parking_lot.h"
#include "lot/wait_graph.h"
#include "os/signal_stack.h"
#include "os/thread_sanitizer.h"
#include "test_support.h"

namespace {
std::atomic<int> allocations{0};
}  // namespace

// Sanitizers have their own, in more forms.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
void* operator new(std::size_t size) {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (void* const memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
#endif

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::eventually_sleeps;
using testing::eventually_waits;

class Pipe {
 public:
  Pipe() { EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0); }
  ~Pipe() {
    close_reader();
    close_writer();
  }
  int writer() const { return ends_[1]; }
  void close_reader() { close_end(0); }
  void close_writer() { close_end(1); }

  /// What has been written, up to the end.
  std::string text() {
    close_writer();
    std::string all;
    char buffer[4096];
    for (ssize_t size = 0; (size = read(ends_[0], buffer, sizeof buffer)) > 0;)
      all.append(buffer, static_cast<std::size_t>(size));
    return all;
  }

 private:
  void close_end(int which) {
    if (ends_[which] >= 0) close(ends_[which]);
    ends_[which] = -1;
  }
  int ends_[2] = {-1, -1};
};

std::string dumped() {
  Pipe pipe;
  dump(pipe.writer());
  return pipe.text();
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

/// Two threads that wait for each other for ever, until the end of this.
class AbBa {
 public:
  AbBa() : before_(set_deadlock_handler(nullptr)) {
    one_.emplace(ThreadOptions{.name = "one"}, [this] { hold_and_wait(accounts_, orders_); });
    EXPECT_TRUE(eventually([&] { return has_begun_.load(); }));
    two_.emplace(ThreadOptions{.name = "two"}, [this] { hold_and_wait(orders_, accounts_); });
    EXPECT_TRUE(eventually([&] { return has_begun_.load(); }));
    EXPECT_TRUE(eventually_sleeps(*one_) && eventually_sleeps(*two_));
  }
  ~AbBa() {
    one_->interrupt(std::make_exception_ptr(SystemExit()));
    two_->interrupt(std::make_exception_ptr(SystemExit()));
    one_->join();
    two_->join();
    set_deadlock_handler(before_);
  }

 private:
  void hold_and_wait(Lock& mine, Lock& other) {
    const std::scoped_lock guard(mine);
    has_begun_ = true;
    while (!both_hold_)
      if (accounts_.locked() && orders_.locked()) both_hold_ = true;
    other.acquire();
  }

  DeadlockHandler before_;
  Lock accounts_;
  Lock orders_;
  const LockName accounts_name_{accounts_, "accounts"};
  const LockName orders_name_{orders_, "orders"};
  std::atomic<bool> has_begun_{false};
  std::atomic<bool> both_hold_{false};
  std::optional<Thread> one_;
  std::optional<Thread> two_;
};

TEST(Dump, SaysWhatASnapshotSays) {
  const AbBa deadlock;
  Lock lock;
  lock.lock();
  const Thread waiter({.name = "waiter"}, [&] { (void)lock.acquire(true, 3600); });
  ASSERT_TRUE(eventually_waits(waiter));
  const std::string text = dumped();
  EXPECT_TRUE(has(text, "4 threads: 3 in waits of underthread, 1 elsewhere\n")) << text;
  EXPECT_TRUE(has(text, "most waited for: lock ")) << text;
  EXPECT_TRUE(has(text, "\ndeadlock: one -> two -> one\n") ||
              has(text, "\ndeadlock: two -> one -> two\n"))
      << text;
  EXPECT_TRUE(has(text, " for lock 'orders', held by two")) << text;
  EXPECT_TRUE(has(text, " for lock 'accounts', held by one")) << text;
  EXPECT_TRUE(has(text, "  waiter (ident " + std::to_string(waiter.ident()) + " = 0x")) << text;
  EXPECT_TRUE(has(text, ", native id " + std::to_string(waiter.native_id()) + ") has waited "))
      << text;
  EXPECT_TRUE(has(text, ", held by the main thread, for at most ")) << text;
  EXPECT_TRUE(has(text, "  main thread (ident ")) << text;
  EXPECT_TRUE(has(text, "runs, or waits for something else")) << text;
  EXPECT_FALSE(has(text, "could not")) << text;

  const Snapshot all = snapshot();
  ASSERT_EQ(all.deadlocks.size(), 1u);
  EXPECT_EQ(all.deadlocks[0].threads.size(), 2u);
  EXPECT_EQ(all.deadlocks[0].kind, "certain");
  EXPECT_TRUE(has(all.text(), "\ndeadlock: ")) << all.text();
  waiter.interrupt(std::make_exception_ptr(SystemExit()));
  waiter.join();
  lock.unlock();
}

TEST(Dump, CountsThoseWhoWaitForTheSameLock) {
  Lock lock;
  const LockName name(lock, "busy");
  lock.lock();
  std::vector<Thread> waiters;
  for (int i = 0; i < 5; ++i) waiters.emplace_back([&] { const std::scoped_lock guard(lock); });
  for (const Thread& waiter : waiters) ASSERT_TRUE(eventually_waits(waiter));
  const std::string text = dumped();
  EXPECT_TRUE(has(text,
                  "most waited for: lock 'busy', by 5 threads; the main thread has held it "
                  "for "))
      << text;
  lock.unlock();
}

TEST(Dump, DoesNotCallALockMostWaitedForThatAConditionsWaiterHasOfItsOwn) {
  const DeadlockHandler before = set_deadlock_handler(nullptr);
  Lock own;
  const Thread waiter({.name = "waiter"}, [&] {
    own.acquire();
    own.acquire();
  });
  ASSERT_TRUE(eventually_waits(waiter));
  for (const std::string& text : {dumped(), snapshot().text()}) {
    EXPECT_FALSE(has(text, "most waited for")) << text;
    EXPECT_TRUE(has(text, ", which another thread is to release\n")) << text;
  }
  own.release();
  set_deadlock_handler(before);
}

TEST(Dump, AllocatesNothingAndKeepsErrno) {
  const AbBa deadlock;
  Pipe pipe;
  const int before = allocations.load();
  errno = 4711;
  dump(pipe.writer());
  EXPECT_EQ(errno, 4711);
  EXPECT_EQ(allocations.load(), before);
  EXPECT_TRUE(has(pipe.text(), "deadlock"));
}

TEST(Dump, IsNoSignalWhereNobodyReads) {
  std::atomic<int> signals{0};
  static std::atomic<int>* counted;
  counted = &signals;
  const auto before = std::signal(SIGPIPE, [](int) { counted->fetch_add(1); });
  Pipe pipe;
  pipe.close_reader();
  dump(pipe.writer());
  dump(-1);
  std::signal(SIGPIPE, before);
  EXPECT_EQ(signals.load(), 0);
}

// A wait whose kind dumps where it is asked who must act: under its bucket, as a signal handler may
// come there.
int inner_dump = -1;
std::uint32_t dump_under_the_bucket(const lot::Waiter&) noexcept {
  dump(inner_dump);
  return 0;
}
constexpr lot::WaitKind dumping_wait{"wait", false, dump_under_the_bucket};

TEST(Dump, DoesNotWaitForABucketThatItsOwnThreadHas) {
  int key = 0;
  Pipe pipe;
  const Thread waiter([&] {
    lot::Wait wait;
    lot::park(
        *lot::current(), &key, [] { return true; }, wait, 0, dumping_wait);
  });
  ASSERT_TRUE(eventually_sleeps(waiter));
  inner_dump = pipe.writer();
  lot::WaitEdge edge;
  std::uint32_t holder = 0;
  lot::find(waiter.ident(), [&](lot::ThreadRecord& record) { holder = record.live.load(); });
  EXPECT_TRUE(lot::look_at(holder, edge));
  lot::unpark_all(&key);
  const std::string text = pipe.text();
  EXPECT_TRUE(has(text, " waits\n")) << text;
  EXPECT_TRUE(has(text, "1 wait could not be looked at")) << text;
}

TEST(Dump, SaysThatNamesCannotBeRead) {
  Lock lock;
  const LockName name(lock, "accounts");
  lock.lock();
  const Thread waiter([&] { const std::scoped_lock guard(lock); });
  ASSERT_TRUE(eventually_sleeps(waiter));
  std::string text;
  {
    const lot::Locked locked(lot::settings);
    text = dumped();
  }
  EXPECT_TRUE(has(text, "the names of locks could not be read")) << text;
  EXPECT_TRUE(has(text, " for lock at 0x")) << text;
  lock.unlock();
}

TEST(Dump, InASignalHandlerOfAnyThreadInAStorm) {
  static int to;
  to = open("/dev/null", O_WRONLY | O_CLOEXEC);
  const auto before = std::signal(SIGUSR1, [](int) { dump(to); });
  std::atomic<bool> is_over{false};
  Lock lock;
  std::vector<Thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      while (!is_over) {
        const std::scoped_lock guard(lock);
        Thread([] {}).join();
      }
    });
  for (int i = 0; i < 300; ++i) kill(getpid(), SIGUSR1);
  for (int i = 0; i < 300; ++i) dump(to);
  is_over = true;
  for (Thread& thread : threads) thread.join();
  std::signal(SIGUSR1, before);
  close(to);
}

TEST(Dump, OfThreadsThatAForkLeftBehindSaysThatTheyAreNoMore) {
  if (os::is_under_thread_sanitizer())
    GTEST_SKIP() << "ThreadSanitizer starts no thread in the child of a fork of several";
  Lock lock;
  std::atomic<bool> holds{false};
  const Thread holder([&] {
    const std::scoped_lock guard(lock);
    holds = true;
    sleep_for(1h);
  });
  ASSERT_TRUE(eventually([&] { return holds.load(); }));
  EXPECT_EQ(testing::status_of_child([&] {
              set_deadlock_handler(nullptr);
              const Thread waiter({.name = "waiter"}, [&] { lock.acquire(); });
              if (!eventually_sleeps(waiter)) return false;
              const std::string text = dumped();
              waiter.interrupt(std::make_exception_ptr(SystemExit()));
              return has(text, "2 threads: 1 in") &&
                     has(text, "\ndeadlock: waiter -> a thread that has ended\n") &&
                     has(text, ", held by a thread that has ended");
            }),
            0);
  holder.interrupt(std::make_exception_ptr(SystemExit()));
}

}  // namespace
}  // namespace underthread
