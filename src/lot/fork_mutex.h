// A mutex that is held across a fork, so that what it guards is whole in the child.
#pragma once

#include <atomic>
#include <cstdint>

#include "lot/mutex.h"
#include "os/native_thread.h"

namespace underthread::lot {

/// The thread that forks has it from before the fork until after it, on both sides. What else runs
/// there, in this thread, are the program's own `pthread_atfork` handlers: for them it is free.
class ForkMutex {
 public:
  void lock() noexcept {
    if (!forks_here()) mutex_.lock();
  }
  bool try_lock() noexcept { return forks_here() || mutex_.try_lock(); }
  void unlock() noexcept {
    if (!forks_here()) mutex_.unlock();
  }

  void hold_for_fork() noexcept {
    mutex_.lock();
    forking_.store(os::thread_ident(), std::memory_order_relaxed);
  }
  void let_go_after_fork() noexcept {
    forking_.store(0, std::memory_order_relaxed);
    mutex_.unlock();
  }
  /// In the child.
  void forget() noexcept {
    forking_.store(0, std::memory_order_relaxed);
    mutex_.forget();
  }

 private:
  bool forks_here() const noexcept {
    const std::uintptr_t forking = forking_.load(std::memory_order_relaxed);
    return forking != 0 && forking == os::thread_ident();
  }

  Mutex mutex_;
  // The ident of the thread that forks; 0: none does. relaxed: a thread finds its own here only if
  // it has written it, and any other value says the same.
  std::atomic<std::uintptr_t> forking_{0};
};

}  // namespace underthread::lot
