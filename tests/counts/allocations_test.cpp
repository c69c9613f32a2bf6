// Locks and waits allocate nothing, so none of them fails for memory or waits for the allocator.
// Every allocation of the process is counted, in all threads: malloc is ours here, and operator new
// calls it.
#include <underthread/underthread.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <memory>

#include <gtest/gtest.h>

#include "lot/thread_record.h"
#include "test_support.h"

namespace {
constinit std::atomic<std::size_t> allocated{0};
}  // namespace

#if defined(UNDERTHREAD_SANITIZED_WITH)
constexpr char why_not[] = "built with " UNDERTHREAD_SANITIZED_WITH ": it has a malloc of its own";
#elif !defined(__GLIBC__)
constexpr char why_not[] = "this C library does not say what its own malloc is called";
#else
constexpr char why_not[] = "";

extern "C" {

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t size) noexcept {
  ++allocated;
  return __libc_malloc(size);
}

void* calloc(std::size_t count, std::size_t size) noexcept {
  ++allocated;
  return __libc_calloc(count, size);
}

void* realloc(void* memory, std::size_t size) noexcept {
  ++allocated;
  return __libc_realloc(memory, size);
}

void* memalign(std::size_t alignment, std::size_t size) noexcept {
  ++allocated;
  return __libc_memalign(alignment, size);
}

void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  return memalign(alignment, size);
}

int posix_memalign(void** memory, std::size_t alignment, std::size_t size) noexcept {
  *memory = memalign(alignment, size);
  return *memory ? 0 : ENOMEM;
}

}  // extern "C"
#endif

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually_waits;
using testing::waits_for;

constexpr int turns = 100;

class Allocations : public ::testing::Test {
 protected:
  void SetUp() override {
    if (why_not[0] != '\0') GTEST_SKIP() << why_not;
    // A thread's first use needs memory.
    get_native_id();
  }
};

/// How many there were while `work` ran.
template <class Work>
std::size_t allocations_in(Work work) {
  const std::size_t before = allocated;
  work();
  return allocated - before;
}

/// As testing::eventually, whose std::function may allocate.
template <class State>
void wait_for(State state) {
  while (!state()) std::this_thread::yield();
}

/// Keeps the compiler from leaving out what it sees to be unused.
void use(void* memory) {
  asm volatile("" ::"r"(memory) : "memory");
}

TEST_F(Allocations, AreCountedHoweverTheyAreMadeAndInEveryThread) {
  struct alignas(128) Aligned {
    char bytes[128];
  };
  EXPECT_EQ(allocations_in([] { use(std::make_unique<int>().get()); }), 1u);
  EXPECT_EQ(allocations_in([] { use(std::make_unique<Aligned>().get()); }), 1u);
  EXPECT_EQ(allocations_in([] {
              void* memory = std::calloc(1, 1);
              use(memory);
              memory = std::realloc(memory, 100);
              use(memory);
              std::free(memory);
            }),
            2u);
  // A thread's start allocates: that comes before.
  std::atomic<bool> begun{false};
  std::atomic<bool> go{false};
  std::atomic<bool> gone{false};
  Thread other([&] {
    begun = true;
    wait_for([&] { return go.load(); });
    use(std::make_unique<int>().get());
    gone = true;
  });
  wait_for([&] { return begun.load(); });
  EXPECT_EQ(allocations_in([&] {
              go = true;
              wait_for([&] { return gone.load(); });
            }),
            1u);
}

TEST_F(Allocations, NoneToMakeALockOrToTakeItAndLetItGo) {
  EXPECT_EQ(allocations_in([] {
              for (int turn = 0; turn < turns; ++turn) {
                Lock lock = allocate_lock();
                lock.acquire();
                EXPECT_FALSE(lock.acquire(false));
                lock.release();
                RLock rlock;
                rlock.acquire();
                rlock.acquire();
                rlock.release();
                rlock.release();
              }
            }),
            0u);
}

TEST_F(Allocations, NoneToReleaseALockToAThreadThatSleepsForItOrToSleep) {
  Lock lock;
  lock.acquire();
  std::atomic<int> taken{0};
  Thread waiter([&] {
    for (int turn = 0; turn <= turns; ++turn) {
      lock.acquire();
      ++taken;
    }
  });
  ASSERT_TRUE(eventually_waits(waiter));
  EXPECT_EQ(allocations_in([&] {
              for (int turn = 1; turn <= turns; ++turn) {
                lock.release();
                wait_for([&] { return taken == turn && waits_for(waiter.ident()); });
              }
            }),
            0u);
  lock.release();
}

TEST_F(Allocations, NoneToWaitUntilTheTimeIsUp) {
  Lock lock;
  lock.acquire();
  Thread other([&] { lock.acquire(); });
  ASSERT_TRUE(eventually_waits(other));
  EXPECT_EQ(allocations_in([&] {
              for (int turn = 0; turn < 3; ++turn) {
                EXPECT_FALSE(lock.acquire(true, 1ms));
                EXPECT_FALSE(lock.try_lock_for(1ms));
                EXPECT_FALSE(other.join(1ms));
                sleep_for(1ms);
              }
            }),
            0u);
  lock.release();
}

TEST_F(Allocations, NoneToEndAWaitByAnInterrupt) {
  Lock lock;
  lock.acquire();
  std::atomic<int> interrupted{0};
  Thread waiter([&] {
    for (int turn = 0; turn <= turns; ++turn) {
      lot::Wait wait{.wake_for = lot::WakeFor::interrupts};
      EXPECT_EQ(lock.acquire_waiting(Hold::bare, wait), lot::WaitEnd::interrupted);
      EXPECT_TRUE(lot::take_pending(*lot::current()));
      ++interrupted;
    }
  });
  const auto interrupt_it = [&] {
    lot::find(waiter.ident(), [](lot::ThreadRecord& record) { lot::interrupt(record); });
  };
  ASSERT_TRUE(eventually_waits(waiter));
  EXPECT_EQ(allocations_in([&] {
              for (int turn = 1; turn <= turns; ++turn) {
                interrupt_it();
                wait_for([&] { return interrupted == turn && waits_for(waiter.ident()); });
              }
            }),
            0u);
  interrupt_it();
}

constinit std::atomic<int> handled{0};

TEST_F(Allocations, NoneToRunAHandlerAmidAWaitAndToWaitOn) {
  const Handler before = signal(SIGUSR1, [](int) { ++handled; });
  Lock lock;
  lock.acquire();
  std::atomic<std::size_t> allocations{0};
  const Ident main = get_ident();
  Thread other([&] {
    EXPECT_TRUE(eventually_waits(main));
    allocations = allocations_in([&] {
      for (int turn = 1; turn <= turns; ++turn) {
        interrupt_main(SIGUSR1);
        wait_for([&] { return handled == turn && waits_for(main); });
      }
    });
    lock.release();
  });
  lock.acquire();
  other.join();
  EXPECT_EQ(allocations, 0u);
  signal(SIGUSR1, before);
}

}  // namespace
}  // namespace underthread
