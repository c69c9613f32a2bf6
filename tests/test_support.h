// For tests: wait for a state, never for a time.
#pragma once

#include <underthread/underthread.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <string_view>
#include <thread>

#include <fcntl.h>
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

/// Whether the kernel has put that thread of ours to sleep.
inline bool is_asleep(std::uint64_t native_id) {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/self/task/%llu/stat",
                static_cast<unsigned long long>(native_id));
  const int file = open(path.data(), O_RDONLY | O_CLOEXEC);
  std::array<char, 512> text{};
  const ssize_t size = file < 0 ? -1 : read(file, text.data(), text.size());
  if (file >= 0) close(file);
  if (size <= 0) return false;
  // Number, name in parentheses, state. The name may have any characters.
  const std::string_view stat(text.data(), static_cast<std::size_t>(size));
  const std::size_t name_end = stat.rfind(')');
  return name_end != stat.npos && stat.substr(name_end, 3) == ") S";
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

/// It stands in a queue and has gone to sleep there: what it looks at before that it has looked at.
inline bool eventually_sleeps(const Thread& thread) {
  return eventually_waits(thread) && eventually([&] { return is_asleep(thread.native_id()); });
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
