// The mutex under the lot: a bucket's, the registry's. For sections of a few instructions that
// never wait, allocate or call a user's code. Above the lot there is Lock; below it there is only
// this.
#pragma once

#include <atomic>
#include <cstdint>

namespace underthread::lot {

class Mutex {
 public:
  constexpr Mutex() noexcept = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock() noexcept {
    std::uint32_t word = unlocked;
    // acquire here and in lock_slow, release in unlock: what the section changed is seen by the
    // next.
    if (!word_.compare_exchange_strong(word, locked, std::memory_order_acquire,
                                       std::memory_order_relaxed))
      lock_slow();
  }

  /// For signal handlers, which cannot wait for what they may have interrupted. False: somebody has
  /// it.
  bool try_lock() noexcept {
    std::uint32_t word = unlocked;
    // acquire: as lock.
    return word_.compare_exchange_strong(word, locked, std::memory_order_acquire,
                                         std::memory_order_relaxed);
  }

  void unlock() noexcept {
    if (word_.exchange(unlocked, std::memory_order_release) == contended) wake();
  }

  /// In the child of a fork: whoever held it is not there.
  void forget() noexcept { word_.store(unlocked, std::memory_order_relaxed); }

 private:
  // contended: locked, and somebody may sleep. Whoever slept takes it as contended, since it cannot
  // know whether it was the last; taking it as locked would lose the others' wake-up.
  static constexpr std::uint32_t unlocked = 0;
  static constexpr std::uint32_t locked = 1;
  static constexpr std::uint32_t contended = 2;

  void lock_slow() noexcept;
  void wake() noexcept;

  std::atomic<std::uint32_t> word_{unlocked};
};

/// The mutex, a Mutex or a ForkMutex, is held while this exists.
template <class AnyMutex>
class Locked {
 public:
  explicit Locked(AnyMutex& mutex) noexcept : mutex_(mutex) { mutex_.lock(); }
  ~Locked() { mutex_.unlock(); }
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;

 private:
  AnyMutex& mutex_;
};

/// The mutex is held while this exists, if nobody had it.
template <class AnyMutex>
class TriedLock {
 public:
  explicit TriedLock(AnyMutex& mutex) noexcept : mutex_(mutex), holds_(mutex.try_lock()) {}
  ~TriedLock() {
    if (holds_) mutex_.unlock();
  }
  TriedLock(const TriedLock&) = delete;
  TriedLock& operator=(const TriedLock&) = delete;

  explicit operator bool() const noexcept { return holds_; }

 private:
  AnyMutex& mutex_;
  const bool holds_;
};

}  // namespace underthread::lot
