// The locks that are compared, each behind the same three functions. What a lock cannot do it does
// not have.
#pragma once

#include <underthread/lock.h>
#include <underthread/rlock.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <semaphore>

#include <absl/synchronization/mutex.h>
#include <boost/thread/mutex.hpp>
#include <linux/futex.h>
#include <nsync.h>
#include <oneapi/tbb/mutex.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <unistd.h>

#if UNDERTHREAD_BENCH_PARKING_LOT
extern "C" {
void parking_lot_lock(std::uint8_t* lock);
bool parking_lot_try_lock(std::uint8_t* lock);
void parking_lot_unlock(std::uint8_t* lock);
}
#endif

namespace bench {

/// Python's names, which are safe points and bare holds.
struct Acquire {
  static constexpr const char* name = "underthread::Lock, acquire";
  void lock() { lock_.acquire(); }
  bool try_lock() { return lock_.acquire(false); }
  void unlock() { lock_.release(); }
  underthread::Lock lock_;
};

/// The standard's names.
struct Scoped {
  static constexpr const char* name = "underthread::Lock, lock";
  void lock() { lock_.lock(); }
  bool try_lock() { return lock_.try_lock(); }
  void unlock() { lock_.unlock(); }
  underthread::Lock lock_;
};

struct Recursive {
  static constexpr const char* name = "underthread::RLock";
  void lock() { lock_.acquire(); }
  bool try_lock() { return lock_.acquire(false); }
  void unlock() { lock_.release(); }
  underthread::RLock lock_;
};

template <class L>
struct Standard {
  void lock() { lock_.lock(); }
  bool try_lock() { return lock_.try_lock(); }
  void unlock() { lock_.unlock(); }
  L lock_;
};
struct StdMutex : Standard<std::mutex> {
  static constexpr const char* name = "std::mutex";
};
struct StdTimedMutex : Standard<std::timed_mutex> {
  static constexpr const char* name = "std::timed_mutex";
};
struct StdRecursiveMutex : Standard<std::recursive_mutex> {
  static constexpr const char* name = "std::recursive_mutex";
};
struct BoostMutex : Standard<boost::mutex> {
  static constexpr const char* name = "boost::mutex";
};
struct TbbMutex : Standard<oneapi::tbb::mutex> {
  static constexpr const char* name = "tbb::mutex";
};

struct StdSemaphore {
  static constexpr const char* name = "std::binary_semaphore";
  void lock() { semaphore.acquire(); }
  bool try_lock() { return semaphore.try_acquire(); }
  void unlock() { semaphore.release(); }
  std::binary_semaphore semaphore{1};
};

/// What CPython's locks were until 3.13 on Linux.
struct Semaphore {
  static constexpr const char* name = "sem_t";
  Semaphore() { sem_init(&semaphore, 0, 1); }
  ~Semaphore() { sem_destroy(&semaphore); }
  Semaphore(const Semaphore&) = delete;
  Semaphore& operator=(const Semaphore&) = delete;
  void lock() {
    while (sem_wait(&semaphore) != 0) {
    }
  }
  bool try_lock() { return sem_trywait(&semaphore) == 0; }
  void unlock() { sem_post(&semaphore); }
  sem_t semaphore;
};

/// The least that a lock on a futex can be: it knows nobody, and whoever comes first takes it.
struct Futex {
  static constexpr const char* name = "bare futex";
  void lock() {
    std::uint32_t expected = 0;
    if (word.compare_exchange_strong(expected, 1, std::memory_order_acquire)) return;
    while (word.exchange(2, std::memory_order_acquire) != 0)
      syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 2, nullptr, nullptr, 0);
  }
  bool try_lock() {
    std::uint32_t expected = 0;
    return word.compare_exchange_strong(expected, 1, std::memory_order_acquire);
  }
  void unlock() {
    if (word.exchange(0, std::memory_order_release) == 2)
      syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
  std::atomic<std::uint32_t> word{0};
};

struct AbslMutex {
  static constexpr const char* name = "absl::Mutex";
  void lock() { mutex.Lock(); }
  bool try_lock() { return mutex.TryLock(); }
  void unlock() { mutex.Unlock(); }
  absl::Mutex mutex;
};

struct Nsync {
  static constexpr const char* name = "nsync_mu";
  void lock() { nsync::nsync_mu_lock(&mu); }
  bool try_lock() { return nsync::nsync_mu_trylock(&mu) != 0; }
  void unlock() { nsync::nsync_mu_unlock(&mu); }
  nsync::nsync_mu mu = NSYNC_MU_INIT;
};

#if UNDERTHREAD_BENCH_PARKING_LOT
struct ParkingLot {
  static constexpr const char* name = "parking_lot (Rust)";
  void lock() { parking_lot_lock(&byte); }
  bool try_lock() { return parking_lot_try_lock(&byte); }
  void unlock() { parking_lot_unlock(&byte); }
  std::uint8_t byte = 0;
};
#endif

}  // namespace bench
