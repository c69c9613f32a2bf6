// What inline code reads of a thread's record: who a lock word should name, whether a safe point
// has anything to do, and the thread's numbers. The rest of the record is
// src/lot/thread_record.h's; this much is public because `Lock::acquire` is one compare-and-swap in
// the caller's own code.
#pragma once

#include <atomic>
#include <cstdint>

namespace underthread::lot {

struct ThreadHead {
  /// What this thread writes into the word of a lock that it holds: its record's index and
  /// generation, above the flag bits (see lock.h). Never 0. Constant while the thread lives, and
  /// read only by that thread.
  std::uint32_t holder = 0;

  /// Nonzero: something may wait for this thread's next safe point. Set by anyone (a signal handler
  /// too), cleared by the thread itself. `lot::interrupt` argues its ordering.
  std::atomic<std::uint32_t> pending{0};

  /// What `get_ident` says in it. Ordering, for others: see `ident_of`.
  std::atomic<std::uintptr_t> ident{0};
  /// The kernel's number; 0 until the thread runs. Relaxed: a number on its own.
  std::atomic<std::uint64_t> native_id{0};

  /// Its safe points look at the clock. The thread's own.
  bool is_limited = false;

  /// Whether a safe point has nothing to do. relaxed: a hint; an interrupt that this misses is
  /// found at the next safe point, or ends the wait if there is one.
  bool is_left_alone() const noexcept {
    return pending.load(std::memory_order_relaxed) == 0 && !is_limited;
  }
};

/// This thread's record, or null until the thread first needs one. The core's only thread-local.
///
/// initial-exec: one load relative to the thread pointer and no call, also when the library is part
/// of a module that was loaded late (eight bytes of the reserve that the C library keeps for that).
[[gnu::tls_model("initial-exec")]] extern constinit thread_local ThreadHead* this_thread;

}  // namespace underthread::lot
