// Gates: closed until somebody opens one for one who waits. A lock that is held and that others
// release is one, and so is a semaphore.
#pragma once

#include <underthread/lock.h>

#include <atomic>
#include <cstdint>
#include <semaphore>

#include <linux/futex.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace bench {

struct LockGate {
  static constexpr const char* name = "underthread::Lock";
  LockGate() { lock.acquire(); }
  void wait() { lock.acquire(); }
  void open() { lock.release(); }
  underthread::Lock lock;
};

struct SemaphoreGate {
  static constexpr const char* name = "sem_t";
  SemaphoreGate() { sem_init(&semaphore, 0, 0); }
  ~SemaphoreGate() { sem_destroy(&semaphore); }
  SemaphoreGate(const SemaphoreGate&) = delete;
  SemaphoreGate& operator=(const SemaphoreGate&) = delete;
  void wait() {
    while (sem_wait(&semaphore) != 0) {
    }
  }
  void open() { sem_post(&semaphore); }
  sem_t semaphore;
};

struct StdSemaphoreGate {
  static constexpr const char* name = "std::binary_semaphore";
  void wait() { semaphore.acquire(); }
  void open() { semaphore.release(); }
  std::binary_semaphore semaphore{0};
};

/// Nothing but the two system calls, each time.
struct FutexGate {
  static constexpr const char* name = "bare futex";
  void wait() {
    while (word.exchange(0, std::memory_order_acquire) == 0)
      syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
  }
  void open() {
    word.store(1, std::memory_order_release);
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
  std::atomic<std::uint32_t> word{0};
};

}  // namespace bench
