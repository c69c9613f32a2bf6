#include <underthread/deadlock.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <memory>
#include <utility>

#include "current_thread.h"
#include "found_deadlock.h"
#include "lot/fork.h"
#include "lot/mutex.h"
#include "lot/wait_graph.h"
#include "os/futex.h"
#include "os/thread_sanitizer.h"
#include "seen.h"

namespace underthread {
namespace {

// Null: `report_deadlock`, or none where `is_told` is false. Made on the heap and never destroyed
// at exit, since threads may outlive static destructors. Guarded by lot::settings.
constinit std::shared_ptr<const DeadlockHandler>* handler_setting = nullptr;
// relaxed: whether waits look for deadlocks; what is done with one is looked up.
constinit std::atomic<bool> is_told{true};

/// The threads of a path are a snapshot of their own.
Snapshot snapshot_of(const Deadlock& deadlock) {
  Snapshot those;
  those.threads = deadlock.threads;
  return those;
}

}  // namespace

bool deadlocks_are_told() noexcept {
  return is_told.load(std::memory_order_relaxed);
}

std::optional<Deadlock> find_deadlock(const lot::ThreadRecord& me) {
  std::vector<lot::WaitEdge> edges;
  const lot::Path path =
      lot::follow(lot::last_wait(me), [&](const lot::WaitEdge& edge) { edges.push_back(edge); });
  if (path.end == lot::PathEnd::open || path.deadlock == lot::Deadlock::none) return std::nullopt;
  Deadlock deadlock;
  deadlock.kind = path.deadlock == lot::Deadlock::certain    ? Deadlock::Kind::certain
                  : path.deadlock == lot::Deadlock::possible ? Deadlock::Kind::possible
                                                             : Deadlock::Kind::timed;
  deadlock.is_orphaned = path.end == lot::PathEnd::nobody;
  const std::int64_t now = os::now();
  for (const lot::WaitEdge& edge : edges) {
    deadlock.threads.push_back(seen_thread(edge.waiter));
    deadlock.threads.back().wait = seen_wait(edge, now);
  }
  return deadlock;
}

void tell_deadlock(lot::ThreadRecord& me) {
  const std::optional<Deadlock> deadlock = find_deadlock(me);
  if (!deadlock) return;
  std::shared_ptr<const DeadlockHandler> handler;
  {
    const lot::Locked locked(lot::settings);
    os::note_after(&handler_setting);
    if (handler_setting) handler = *handler_setting;
    if (!deadlocks_are_told()) return;
  }
  if (handler)
    (*handler)(*deadlock);
  else
    report_deadlock(*deadlock);
}

DeadlockHandler set_deadlock_handler(DeadlockHandler handler) {
  // Forks must be watched before the mutex that they take is used.
  current_thread();
  const bool is_any = static_cast<bool>(handler);
  auto made = is_any ? std::make_unique<std::shared_ptr<const DeadlockHandler>>(
                           std::make_shared<const DeadlockHandler>(std::move(handler)))
                     : nullptr;
  std::unique_ptr<std::shared_ptr<const DeadlockHandler>> old;
  bool was_any = false;
  {
    const lot::Locked locked(lot::settings);
    os::note_before(&handler_setting);
    old.reset(std::exchange(handler_setting, made.release()));
    was_any = is_told.exchange(is_any, std::memory_order_relaxed);
  }
  if (old) return **old;
  return was_any ? DeadlockHandler(report_deadlock) : DeadlockHandler();
}

std::string Deadlock::text() const {
  const Snapshot those = snapshot_of(*this);
  std::string text = "underthread: ";
  if (kind == Kind::possible) text += "possible ";
  text += "deadlock: ";
  if (is_orphaned)
    text += "a thread waits for one that is no more\n";
  else if (threads.size() == 1)
    text += "a thread waits for itself\n";
  else
    text += text_of_count(threads.size(), "thread") + " wait for each other" +
            (kind == Kind::timed ? ", one of them for a limited time\n" : "\n");
  for (const ThreadSeen& thread : threads)
    text += "  " + thread.text() + " " + text_of_wait(thread, those) + "\n";
  return text;
}

void report_deadlock(const Deadlock& deadlock) {
  const std::string text = deadlock.text();
  std::fwrite(text.data(), 1, text.size(), stderr);
}

void raise_deadlock(const Deadlock& deadlock) {
  if (deadlock.kind != Deadlock::Kind::certain) {
    report_deadlock(deadlock);
    return;
  }
  std::string text = deadlock.text();
  text.pop_back();
  throw DeadlockError(text.substr(text.find("deadlock")));
}

}  // namespace underthread
