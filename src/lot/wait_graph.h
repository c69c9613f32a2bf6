// The wait graph: which thread waits for which, by what it waits for and who must act before that
// comes. It is not kept: it is read, edge by edge, from the lock words and the lot's queues.
//
// An edge is read under the bucket of what is waited for, so it was true at one moment. Edges of
// one path are read one after another. That a path has closed is believed at the second look: each
// thread on it still stands where it stood, in the same wait, and the same thread is to act. Then
// all of them were there together, at the end of the first look:
//
//   - Each thread's own wait has gone on from its first look to its second, both of which are
//     beside that moment.
//   - That the thread held at that moment what the one before it waits for: at the second look it
//     did, and it has waited since before the first ended, so it has acquired nothing since then.
//     (Looks go along the path, so a thread's second look at its wait is after the one at what it
//     holds. The caller, who closes the path, acquires and releases nothing meanwhile.)
//
// Of the threads of a cycle the last to stand in its queue finds it: it has written that it waits,
// and then reads whether the others do; so have they, in one order of all such writes and reads
// (seq_cst), so of two threads at least one sees the other. Where several see it, the first to
// claim it tells it.
#pragma once

#include <cstdint>

#include "lot/callback.h"
#include "lot/thread_record.h"
#include "lot/wait_kind.h"

namespace underthread::lot {

/// A thread that waits, as it was at one moment.
struct WaitEdge {
  std::uint32_t waiter = 0;  ///< the thread, as a lock word names it
  const void* key = nullptr;
  const WaitKind* kind = nullptr;
  std::uint32_t token = 0;     ///< as `park` was given it
  std::uint32_t blocker = 0;   ///< who must act, as WaitKind says; 0: nobody in particular
  bool is_first = false;       ///< nobody stands before it in the queue
  std::uint64_t number = 0;    ///< of this wait among its thread's
  std::int64_t since = 0;      ///< ns of the monotonic clock
  std::int64_t until = never;  ///< its deadline, or its thread's time limit
  WakeFor wake_for = WakeFor::nothing;

  bool is_timed() const noexcept { return until != never; }
};

/// The thread that a lock word names, without the flags.
inline constexpr std::uint32_t thread_of(std::uint32_t word) noexcept {
  return word & ~((std::uint32_t{1} << holder_shift) - 1);
}

/// The wait that a thread has just left by ParkEnd::deadlock, as it was but for the blocker, who is
/// as now. In its thread, which knows that what it waited for is not gone.
WaitEdge last_wait(const ThreadRecord& me) noexcept;

/// What the thread that a lock word names waits for. False: it does not wait, or is none. The
/// calling thread waits while it runs handlers in a wait: ThreadRecord::left_wait.
bool look_at(std::uint32_t holder, WaitEdge& edge) noexcept;

/// What a look finds that does not wait for a bucket which is locked at that moment.
enum class Look : std::uint8_t { runs, waits, busy };

/// `look_at` for signal handlers: in one that interrupts a thread with the bucket it says `busy`.
Look try_look_at(std::uint32_t holder, WaitEdge& edge) noexcept;

/// Where the path that begins with a wait leads.
enum class PathEnd : std::uint8_t {
  open,    ///< to a thread that runs, to nobody in particular, or into a cycle of others
  cycle,   ///< back to the thread that it began with
  nobody,  ///< to a thread that has ended, or did not survive a fork
};

/// What may come of it.
enum class Deadlock : std::uint8_t {
  none,      ///< a wait on it has a deadline, and a thread that is not on it may end it
  timed,     ///< a wait on it has a deadline
  possible,  ///< a thread that is not on it may end it: a bare hold is
  certain,   ///< neither
};

struct Path {
  PathEnd end = PathEnd::open;
  Deadlock deadlock = Deadlock::none;
  std::uint32_t length = 0;  ///< how many edges
  std::uint64_t digest = 0;  ///< of all that two looks must agree in
};

/// How a path's threads are looked at: as `look_at`.
using LookFunction = Callback<bool(std::uint32_t holder, WaitEdge& edge)>;

/// Follows the path of a wait, and calls `seen` for each edge, without any mutex held.
Path follow(const WaitEdge& first, Callback<void(const WaitEdge&)> seen) noexcept;
Path follow(const WaitEdge& first, Callback<void(const WaitEdge&)> seen,
            LookFunction look) noexcept;

/// The same, believed at the second look: open where the two differ. `seen` as at the first.
Path follow_twice(const WaitEdge& first, Callback<void(const WaitEdge&)> seen,
                  LookFunction look) noexcept;

/// Whether a path is a deadlock of the thread that it begins with, and of nobody else's waits: it
/// leads back to that thread, or that thread waits for one that is no more.
bool is_own_deadlock(const Path& path) noexcept;

/// For a thread that stands in its queue and is about to sleep: whether that closes a cycle, or
/// waits for nobody, and this thread is the one that is to tell. A bare hold of its own alone is
/// none: a semaphore's or condition's lock is acquired twice by one thread, and released by
/// another.
Deadlock closes_path(const WaitEdge& mine) noexcept;

/// In the child of a fork: nobody tells.
void forget_tellers() noexcept;

}  // namespace underthread::lot
