#include <underthread/snapshot.h>

#include <algorithm>
#include <map>
#include <utility>

#include "lot/parking_lot.h"
#include "lot/thread_record.h"
#include "os/futex.h"
#include "seen.h"

namespace underthread {
namespace {

/// The threads that live now, as lock words name them.
std::vector<std::uint32_t> live_threads() {
  std::vector<std::uint32_t> threads;
  for (bool is_whole = false; !is_whole;) {
    // Nothing allocates under the registry's mutex, and some may start meanwhile.
    threads.reserve(lot::live_count() + lot::live_count() / 8 + 16);
    threads.clear();
    is_whole = true;
    lot::for_each_thread([&](const lot::ThreadRecord& thread) {
      if (threads.size() < threads.capacity())
        threads.push_back(thread.live.load(std::memory_order_relaxed));
      else
        is_whole = false;
    });
  }
  return threads;
}

/// The threads that a deadlock has, if the wait of `first` is part of one that is not among
/// `found`.
void find_deadlock_of(const lot::WaitEdge& first, std::vector<DeadlockSeen>& found) {
  const Ident ident = lot::ident_of(first.waiter);
  for (const DeadlockSeen& other : found)
    if (std::find(other.threads.begin(), other.threads.end(), ident) != other.threads.end()) return;
  DeadlockSeen deadlock;
  const lot::Path path = lot::follow_twice(
      first,
      [&](const lot::WaitEdge& edge) { deadlock.threads.push_back(lot::ident_of(edge.waiter)); },
      [](std::uint32_t holder, lot::WaitEdge& edge) { return lot::look_at(holder, edge); });
  if (!lot::is_own_deadlock(path)) return;
  deadlock.kind = name_of(path.deadlock);
  deadlock.is_orphaned = path.end == lot::PathEnd::nobody;
  found.push_back(std::move(deadlock));
}

/// Not one of a condition's waiter, who has one of its own. Null: there is none.
const LockSeen* most_waited_for(const Snapshot& all) {
  for (const LockSeen& lock : all.locks)
    for (const ThreadSeen& thread : all.threads)
      if (thread.wait && thread.wait->address == lock.address &&
          (thread.wait->blocker != thread.ident || thread.wait->only_it_can))
        return &lock;
  return nullptr;
}

}  // namespace

Snapshot snapshot() {
  Snapshot all;
  std::map<const void*, LockSeen> locks;
  const auto lock_at = [&](const void* address, const char* kind,
                           std::uint32_t holder) -> LockSeen& {
    LockSeen& lock = locks[address];
    lock.kind = kind;
    lock.address = address;
    lock.is_held = holder != 0;
    lock.holder = lot::ident_of(lot::thread_of(holder));
    lock.is_scoped = (holder & lot::only_it) != 0;
    return lock;
  };
  for (const NamedLock& named : named_locks())
    lock_at(named.lock, named.is_rlock ? "rlock" : "lock", named.holder).name = *named.name;
  for (const std::uint32_t holder : live_threads()) {
    lot::WaitEdge edge;
    const bool waits = lot::look_at(holder, edge);
    ThreadSeen thread = seen_thread(holder);
    if (thread.ident == 0) continue;
    if (waits) {
      const std::int64_t now = os::now();
      thread.wait = seen_wait(edge, now);
      find_deadlock_of(edge, all.deadlocks);
      if (edge.kind->is_lock) {
        LockSeen& lock = lock_at(edge.key, edge.kind->name, edge.blocker);
        lock.name = thread.wait->name;
        ++lock.waiting;
        lock.held = std::max(lock.held, thread.wait->lasted);
      }
    }
    all.threads.push_back(std::move(thread));
  }
  std::sort(all.threads.begin(), all.threads.end(), [](const ThreadSeen& a, const ThreadSeen& b) {
    return std::make_pair(!a.is_main, a.native_id) < std::make_pair(!b.is_main, b.native_id);
  });
  for (auto& [address, lock] : locks) all.locks.push_back(std::move(lock));
  std::stable_sort(all.locks.begin(), all.locks.end(),
                   [](const LockSeen& a, const LockSeen& b) { return a.waiting > b.waiting; });
  return all;
}

const ThreadSeen* Snapshot::find(Ident ident) const noexcept {
  const auto found =
      std::find_if(threads.begin(), threads.end(),
                   [ident](const ThreadSeen& thread) { return thread.ident == ident; });
  return found == threads.end() ? nullptr : &*found;
}

std::string Snapshot::text() const {
  const auto waiting = std::count_if(threads.begin(), threads.end(), [](const ThreadSeen& thread) {
    return thread.wait.has_value();
  });
  TextBuffer summary;
  say_summary(summary, threads.size(), static_cast<std::size_t>(waiting));
  summary << "\n";
  if (const LockSeen* const found = most_waited_for(*this)) {
    const LockSeen& most = *found;
    say_most_waited_for(summary, words_of(most), most.waiting,
                        find(most.holder) ? short_name_in(*this, most.holder) : "",
                        most.held.count());
    summary << "\n";
  }
  std::string text(summary.view());
  if (!deadlocks.empty()) {
    text += text_of_deadlock(deadlocks.front(), *this);
    const std::size_t more = deadlocks.size() - 1;
    text += more > 0 ? "; and " + std::to_string(more) + " more\n" : "\n";
  }
  for (const ThreadSeen& thread : threads)
    text += "  " + thread.text() + " " + text_of_wait(thread, *this) + "\n";
  for (const LockSeen& lock : locks)
    if (lock.waiting == 0)
      text += "  " + lock.text() + ": " +
              (lock.is_held ? "held by " + short_name_in(*this, lock.holder) : "free") + "\n";
  return text;
}

}  // namespace underthread
