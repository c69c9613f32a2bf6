// What the system alone takes to end a thread's system call: `pthread_kill`, a handler that does
// nothing, EINTR, and the thread is back. Nothing can be faster that uses a signal.
#pragma once

#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <thread>

#include <pthread.h>
#include <unistd.h>

namespace bench {

inline std::int64_t now() {
  return std::chrono::steady_clock::now().time_since_epoch().count();
}

/// Long enough that the other thread is in its wait.
inline void let_it_wait() {
  std::this_thread::sleep_for(std::chrono::microseconds(1000 + now() % 500));
}

class Floor {
 public:
  Floor() {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    sigaction(SIGUSR2, &action, nullptr);
    if (pipe(pipe_.data()) != 0) std::abort();
    reader_ = std::thread([this] { read_again_and_again(); });
  }
  ~Floor() {
    over_ = true;
    while (!left_) pthread_kill(reader_.native_handle(), SIGUSR2);
    reader_.join();
    for (const int end : pipe_) close(end);
  }

  /// One trial, ns.
  std::int64_t measure() {
    let_it_wait();
    back_ = 0;
    const std::int64_t sent = now();
    pthread_kill(reader_.native_handle(), SIGUSR2);
    while (back_ == 0) std::this_thread::sleep_for(std::chrono::microseconds(100));
    return back_ - sent;
  }

 private:
  void read_again_and_again() {
    char byte = 0;
    while (!over_)
      if (read(pipe_[0], &byte, 1) == -1 && errno == EINTR) back_ = now();
    left_ = true;
  }

  std::array<int, 2> pipe_{};
  std::atomic<std::int64_t> back_{0};
  std::atomic<bool> over_{false}, left_{false};
  std::thread reader_;
};

}  // namespace bench
