#include "lot/wait_graph.h"

#include <algorithm>

#include "lot/mutex.h"
#include "lot/parking_lot.h"

namespace underthread::lot {
namespace {

/// One thread at a time looks whether a deadlock has been told, and tells it.
constinit Mutex telling;

void add(std::uint64_t& digest, std::uint64_t value) noexcept {
  digest = (digest ^ value) * 0x9E3779B97F4A7C15u;
  digest ^= digest >> 32;
}

void add(std::uint64_t& digest, const WaitEdge& edge) noexcept {
  add(digest, edge.waiter);
  add(digest, edge.number);
  add(digest, edge.blocker);
}

}  // namespace

bool look_at(std::uint32_t holder, WaitEdge& edge) noexcept {
  ThreadRecord* const thread = record_of(holder);
  if (!thread) return false;
  // seq_cst: see the head of this file's header.
  const void* const key = thread->waits_for.load(std::memory_order_seq_cst);
  if (!key && thread == this_thread && thread->left_wait) {
    edge = edge_of(*thread->left_wait);
    return edge.waiter == holder;
  }
  return key && is_alive(holder) && look_at_waiter(*thread, key, edge) && edge.waiter == holder;
}

Look try_look_at(std::uint32_t holder, WaitEdge& edge) noexcept {
  ThreadRecord* const thread = record_of(holder);
  if (!thread) return Look::runs;
  const void* const key = thread->waits_for.load(std::memory_order_seq_cst);
  if (!key || !is_alive(holder)) return Look::runs;
  const Look found = try_look_at_waiter(*thread, key, edge);
  return found == Look::waits && edge.waiter != holder ? Look::runs : found;
}

void forget_tellers() noexcept {
  telling.forget();
}

Path follow(const WaitEdge& first, Callback<void(const WaitEdge&)> seen) noexcept {
  return follow(first, seen,
                [](std::uint32_t holder, WaitEdge& edge) { return look_at(holder, edge); });
}

Path follow(const WaitEdge& first, Callback<void(const WaitEdge&)> seen,
            LookFunction look) noexcept {
  Path path;
  bool has_timed = false;
  bool has_bare = false;
  WaitEdge edge = first;
  // Brent: where the path runs into a cycle that the first is not on, it comes by `passed` again.
  std::uint32_t passed = 0;
  std::uint32_t next_mark = 1;
  for (;;) {
    seen(edge);
    ++path.length;
    add(path.digest, edge);
    has_timed = has_timed || edge.is_timed();
    has_bare = has_bare || !(edge.blocker & only_it);
    // What ends by itself or by anybody is nothing.
    path.deadlock = has_timed && has_bare ? Deadlock::none
                    : has_timed           ? Deadlock::timed
                    : has_bare            ? Deadlock::possible
                                          : Deadlock::certain;

    const std::uint32_t blocker = thread_of(edge.blocker);
    if (blocker == 0 || blocker == passed) return path;
    if (blocker == first.waiter) {
      path.end = PathEnd::cycle;
      return path;
    }
    if (path.length == next_mark) {
      passed = blocker;
      next_mark *= 2;
    }
    if (!look(blocker, edge)) {
      if (is_alive(blocker)) return path;
      path.end = PathEnd::nobody;
      // Any thread may release what an ended one left; but what was held by one that a fork has
      // left behind was not left for anybody.
      if (!(edge.blocker & only_it) &&
          record_of(blocker)->live.load(std::memory_order_relaxed) != blocker)
        path.deadlock = Deadlock::none;
      return path;
    }
  }
}

Path follow_twice(const WaitEdge& first, Callback<void(const WaitEdge&)> seen,
                  LookFunction look) noexcept {
  const Path path = follow(first, seen, look);
  if (path.end == PathEnd::open) return path;
  WaitEdge still_first;
  if (look(first.waiter, still_first)) {
    const Path again = follow(
        still_first, [](const WaitEdge&) {}, look);
    if (again.digest == path.digest && again.end == path.end) return path;
  }
  return {};
}

bool is_own_deadlock(const Path& path) noexcept {
  if (path.end == PathEnd::open || path.deadlock == Deadlock::none) return false;
  // A semaphore's or condition's lock is acquired twice by one thread, and released by another.
  return path.length > 1 ? path.end == PathEnd::cycle
                         : path.end == PathEnd::nobody || path.deadlock == Deadlock::certain;
}

Deadlock closes_path(const WaitEdge& mine) noexcept {
  const auto ignored = [](const WaitEdge&) {};
  const Path path = follow(mine, ignored);
  // Of many that wait for nobody the first tells it.
  if (!is_own_deadlock(path) || (path.end == PathEnd::nobody && !mine.is_first))
    return Deadlock::none;

  // The second look; and how many of the waits have been told as part of one before.
  Locked locked(telling);
  std::uint32_t told = 0;
  WaitEdge still_mine;
  if (!look_at(mine.waiter, still_mine)) return Deadlock::none;
  const Path again = follow(still_mine, [&](const WaitEdge& edge) {
    if (record_of(edge.waiter)->told.load(std::memory_order_relaxed) == edge.number) ++told;
  });
  if (again.digest != path.digest || again.end != path.end) return Deadlock::none;
  // All: another thread of it was first. Some: it is another one, since one of them waits anew. But
  // who tries again and again with a timeout is told of once.
  if (told == path.length || (told > 0 && path.deadlock == Deadlock::timed)) return Deadlock::none;
  follow(mine, [](const WaitEdge& edge) {
    record_of(edge.waiter)->told.store(edge.number, std::memory_order_relaxed);
  });
  return path.deadlock;
}

}  // namespace underthread::lot
