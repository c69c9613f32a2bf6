// Snapshot: all threads of the process, what each waits for, who holds that and since when.
//
// Each wait was true at one moment: the thread stood in the queue of the lock, and the thread that
// is named as its holder held it. Different waits are of different moments, some microseconds
// apart. Threads that do not wait pay nothing for it, and nobody is stopped.
//
// Seen are threads that the library knows: those that it started, and those that have used it. What
// such a thread does when it does not wait in the library is not known: it counts as running.
#pragma once

#include <underthread/ident.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace underthread {

/// What a thread waits for.
struct WaitSeen {
  std::string kind;                   ///< "lock", "rlock", "join", "sleep"; "wait": another
  const void* address = nullptr;      ///< of the lock; null: it is none
  std::string name;                   ///< of the lock, where it has one (lock_name.h)
  std::chrono::nanoseconds lasted{};  ///< since it began
  std::optional<std::chrono::nanoseconds> left;  ///< until its timeout or TimeLimit ends it
  bool interrupts_end_it = false;

  // Who must act before it can end: the holder of a lock, the thread that is joined.
  bool has_blocker = false;
  Ident blocker = 0;         ///< 0: that thread has ended, or did not survive a fork
  bool only_it_can = false;  ///< nobody else: a guard holds the lock; false: any thread may release
};

struct ThreadSeen {
  Ident ident = 0;
  std::uint64_t native_id = 0;
  std::string name;  ///< at most 31 bytes; empty: none was given
  bool is_main = false;
  bool holds_interrupts = false;  ///< a HoldInterrupts exists
  std::optional<WaitSeen> wait;   ///< none: it runs, or waits for something that is not ours

  /// "worker (ident 140…, native id 4711)".
  std::string text() const;
};

/// A lock that somebody waits for, or that has a name.
struct LockSeen {
  std::string kind;  ///< "lock" or "rlock"
  const void* address = nullptr;
  std::string name;
  bool is_held = false;
  Ident holder = 0;                 ///< 0: nobody, or the thread has ended
  bool is_scoped = false;           ///< a guard holds it
  std::size_t waiting = 0;          ///< how many threads
  std::chrono::nanoseconds held{};  ///< at least: the longest of their waits

  /// "lock 'accounts'", or "lock at 0x7f…".
  std::string text() const;
};

/// Threads that wait for each other, as deadlock.h has them, or one for a thread that is no more.
struct DeadlockSeen {
  std::string kind;  ///< "certain", "possible" or "timed"
  bool is_orphaned = false;
  std::vector<Ident> threads;  ///< each waits for the next, and the last for the first
};

struct Snapshot {
  std::vector<ThreadSeen> threads;  ///< the main thread first, then by native id
  std::vector<LockSeen> locks;      ///< most waited for first
  std::vector<DeadlockSeen> deadlocks;

  const ThreadSeen* find(Ident ident) const noexcept;

  /// A table for people, the summary first; ends with a newline.
  std::string text() const;
};

/// @throws std::bad_alloc
Snapshot snapshot();

}  // namespace underthread
