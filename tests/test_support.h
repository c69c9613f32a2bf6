// For tests: wait for a state, never for a time.
#pragma once

#include <underthread/underthread.h>

#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lot/thread_record.h"

namespace underthread::testing {

/// Longer than anything here takes on the slowest machine; only a failing test waits it out.
inline constexpr std::chrono::seconds patience{60};

/// Comes back with true as soon as `state` holds; with false if it never does.
inline bool eventually(const std::function<bool()>& state) {
  const auto limit = std::chrono::steady_clock::now() + patience;
  while (!state()) {
    if (std::chrono::steady_clock::now() > limit) return false;
    std::this_thread::yield();
  }
  return true;
}

/// What the thread of that ident waits for in the lot; null: nothing, or there is no such thread.
inline const void* waits_for(Ident ident) {
  const void* key = nullptr;
  lot::find(ident, [&](lot::ThreadRecord& record) {
    key = record.waits_for.load(std::memory_order_relaxed);
  });
  return key;
}

inline bool eventually_waits(Ident ident) {
  return eventually([=] { return waits_for(ident) != nullptr; });
}

inline bool eventually_waits(const Thread& thread) {
  return eventually_waits(thread.ident());
}

/// What `call` threw as `E`: its text; "" if nothing or something else.
template <class E, class F>
std::string text_of(F&& call) {
  try {
    std::forward<F>(call)();
  } catch (const E& thrown) {
    return thrown.what();
  }
  return "";
}

/// Runs `body` in the child of a fork; its exit status there is 0 if `body` returns true. Returns
/// the status as waitpid gives it, or -1 if the child hangs (it is killed then).
inline int status_of_child(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    bool good = false;
    try {
      good = body();
    } catch (...) {
    }
    _exit(good ? 0 : 1);
  }
  int status = 0;
  if (eventually([&] { return waitpid(child, &status, WNOHANG) == child; })) return status;
  kill(child, SIGKILL);
  waitpid(child, &status, 0);
  return -1;
}

}  // namespace underthread::testing
