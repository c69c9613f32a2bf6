#include "lot/fork.h"

#include <array>

#include "lot/parking_lot.h"
#include "lot/thread_record.h"
#include "lot/wait_graph.h"
#include "os/fatal.h"
#include "os/native_thread.h"
#include "os/nudge.h"

namespace underthread::lot {

constinit std::atomic<std::uint32_t> fork_count{0};
constinit ForkMutex settings;

namespace {

// Filled from the front, never emptied. release when set, acquire when called: what the function
// relies on was written before.
constinit std::array<std::atomic<void (*)()>, 8> forgets{};

// Before the constructors of the program's own objects.
[[gnu::constructor(101)]] void watch_forks_from_the_start() {
  watch_forks();
}

}  // namespace

void call_in_fork_child(void (*forget)()) noexcept {
  for (auto& place : forgets) {
    void (*found)() = nullptr;
    if (place.compare_exchange_strong(found, forget, std::memory_order_release,
                                      std::memory_order_relaxed) ||
        found == forget)
      return;
  }
  os::fatal("too many functions to call in a fork's child");
}

int watch_forks() noexcept {
  return os::call_at_fork([] { settings.hold_for_fork(); }, [] { settings.let_go_after_fork(); },
                          [] {
                            settings.forget();
                            after_fork_in_child();
                          });
}

void after_fork_in_child() noexcept {
  fork_count.fetch_add(1, std::memory_order_relaxed);
  forget_waiters();
  forget_tellers();
  keep_only(static_cast<ThreadRecord*>(this_thread));
  os::Nudge::forget_all();
  for (auto& place : forgets)
    if (void (*forget)() = place.load(std::memory_order_acquire)) forget();
}

}  // namespace underthread::lot
