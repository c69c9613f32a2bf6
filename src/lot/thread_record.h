// ThreadRecord: what the process knows of a thread. And the registry that they are in.
//
// Records live in memory that is never unmapped and are used again, by generation: any thread, and
// a signal handler, may read one at any time, and finds by `live` whether it is still about the
// thread it asked for.
//
// RecordState has the states that a record goes through, and who moves it from one to the next.
//
// A thread that we did not start gets its record at `attach`, at its first use of the library.
//
// A record serves all of its generations before another is made, and is used again only when all
// others have: 1,023 times 1,048,575 threads lie between two that have the same holder.
#pragma once

#include <underthread/lot/thread_head.h>
#include <underthread/lot/wait.h>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "lot/callback.h"
#include "lot/mailbox.h"
#include "lot/spin.h"
#include "lot/treap.h"
#include "os/parker.h"

namespace underthread {
class TimeLimit;
}
namespace underthread::os {
class Nudge;
}

namespace underthread::lot {

struct ThreadRecord;
struct WaitKind;

/// A thread's place in the queue of the key it waits for. All of it is guarded by the key's bucket.
struct Waiter : TreapNode {
  ThreadRecord* thread = nullptr;
  Waiter* next = nullptr;  ///< behind this one in the queue
  Waiter* prev = nullptr;
  Waiter* last = nullptr;    ///< end of the queue; kept by the first alone
  std::int64_t since = 0;    ///< when its wait began, ns of the monotonic clock; queue order
  std::uint32_t token = 0;   ///< what `park` was given, for whoever unparks
  bool handed_over = false;  ///< chosen, and given what it waited for
  WakeFor wake_for = WakeFor::nothing;
  std::int64_t until = never;  ///< when the wait is over, whatever comes
  const WaitKind* kind = nullptr;
  std::uint64_t number = 0;  ///< of this wait among all that the record's threads have begun
};

/// What a record is to the registry, whose mutex guards it. (Whether a record is free is said by
/// its chunk: in the child of a fork all are but one, and none of them is touched.)
enum class RecordState : std::uint8_t {
  nobodys,   ///< free, or used up: free after its last generation, when all others come first.
             ///< `live` is 0. To reserved: `reserve`.
  reserved,  ///< A thread is about to start; `holder` is set, `live` is 0. To listed: `adopt` in
             ///< the thread, or `announce` in its parent, whichever is first. To nobodys: `cancel`.
             ///< To late: `attach`, after the system has told us for the last time that its thread
             ///< ends.
  listed,  ///< Its thread lives: `live` is its holder, and it is found by its ident. To ended: its
           ///< thread, as its last act with it; or another's that has the same ident, where the
           ///< system has not told us of the end.
  late,    ///< Its thread lives: `live` is its holder, and it is found by that alone. To nobodys:
           ///< `reserve`, some time after the thread has ended.
  ended,   ///< `live` is 0, and whoever ended it still has it. To nobodys: the same, next.
};

/// The holder field of a lock word: a record's index and generation, above the two flag bits.
inline constexpr int holder_shift = 2;
inline constexpr int generation_bits = 10;
inline constexpr int index_bits = 20;
/// A record's first is 1.
inline constexpr std::uint32_t last_generation = (std::uint32_t{1} << generation_bits) - 1;
static_assert(holder_shift + generation_bits + index_bits == 32);

struct alignas(64) ThreadRecord : ThreadHead {
  os::Parker parker;

  /// `holder` while the thread lives, else 0. Ordering: see `ident_of`.
  std::atomic<std::uint32_t> live{0};
  /// `fork_count` when it became live: in the child of a fork no thread lives that is older, but
  /// for the one that forked. Relaxed: as `ident`, between two looks at `live`.
  std::atomic<std::uint32_t> born_in{0};

  /// The key in whose queue the thread stands; null: it does not wait, or has been chosen and is
  /// about to be woken. Written under the key's bucket, so whoever has that bucket and finds its
  /// key here may read `waiter`. Ordering, without the bucket: see wait_graph.h.
  std::atomic<const void*> waits_for{nullptr};

  Waiter waiter;

  /// The wait that the thread has left to run handlers, and will go on with; null: none. The
  /// thread's own, and so is what it waited for then: that is not gone.
  const Waiter* left_wait = nullptr;

  /// The number of its last wait that was told as part of a deadlock. relaxed: a number on its own.
  std::atomic<std::uint64_t> told{0};

  /// What it has learnt of waiting for locks.
  SpinMemory spinning;

  /// How many scopes hold interrupts off. Relaxed: the thread's own, others only show it.
  std::atomic<std::uint32_t> interrupts_held{0};
  /// How many scopes want its system calls ended by interrupts. The thread's own.
  std::uint32_t interruptible_scopes = 0;
  /// What ends them; null: no thread of this record has wanted that. Made once for the record, and
  /// kept with it. Ordering: see `end_syscall`.
  std::atomic<os::Nudge*> nudge{nullptr};

  /// The innermost that is in force. The thread's own.
  TimeLimit* limits = nullptr;
  /// When the first of them is over that has not been told, ns of the monotonic clock. Relaxed: the
  /// thread's own, but for its signal handlers.
  std::atomic<std::int64_t> limit_until{never};

  /// What others have sent.
  Mailbox mailbox;

  /// What a handle of the thread knows it by, to compare; null: none. The thread's own.
  const void* handle = nullptr;
  /// Called in the thread when it ends, if set. The thread's own.
  void (*at_end)(void*) = nullptr;
  void* at_end_argument = nullptr;

  /// 31 bytes of the thread's name, in words so that others may read them while they change.
  std::array<std::atomic<std::uint64_t>, 4> name{};

  /// The rest is the registry's.
  std::uint32_t index = 0;
  std::uint32_t generation = 0;
  RecordState state = RecordState::nobodys;
  ThreadRecord* next_late = nullptr;
  struct ByIdent : TreapNode {
    ThreadRecord* record = nullptr;
  } by_ident;
};

/// Why a thread has no record.
enum class NoRecord : std::uint8_t {
  memory,   ///< the system has none
  threads,  ///< 1,048,575 are in use
  keys,     ///< no pthread key is left to notice the end of threads with
};

/// The calling thread's record, attached if need be. Null: it cannot have one, and `reason` (if
/// given) says why.
ThreadRecord* attach(NoRecord* reason = nullptr) noexcept;
inline ThreadRecord* current() noexcept {
  return this_thread ? static_cast<ThreadRecord*>(this_thread) : attach();
}

/// A record for a thread that is about to start; null as `attach`.
ThreadRecord* reserve(NoRecord* reason = nullptr) noexcept;
/// The thread did not start.
void cancel(ThreadRecord& record) noexcept;
/// In the new thread: makes the reserved record its own.
void adopt(ThreadRecord& record) noexcept;
/// In the parent: from now on the thread can be found by its ident. `holder` is the record's as it
/// was reserved: the thread may have ended by now, and its record be another's.
void announce(ThreadRecord& record, std::uint32_t holder, std::uintptr_t ident) noexcept;

/// The record that a lock word names, whoever has it by now; null: there is none.
ThreadRecord* record_of(std::uint32_t holder) noexcept;

/// Calls `seen` with the record of each thread that lives, under the registry's mutex.
void for_each_thread(Callback<void(const ThreadRecord&)> seen) noexcept;

/// Calls `seen` with each thread that lives, as a lock word names it, without a mutex: one that
/// starts meanwhile may be missed. For signal handlers.
void try_each_thread(Callback<void(std::uint32_t holder)> seen) noexcept;

/// Calls `found` with the live record of that ident, under the registry's mutex, so the thread
/// cannot end meanwhile; returns it (then without that promise), or null.
ThreadRecord* find(std::uintptr_t ident, Callback<void(ThreadRecord&)> found) noexcept;

/// The ident of the thread that a lock word names; 0: it has ended, or never was, or did not
/// survive a fork.
std::uintptr_t ident_of(std::uint32_t holder) noexcept;
inline bool is_alive(std::uint32_t holder) noexcept {
  return ident_of(holder) != 0;
}

/// How many threads are known: ours that live, and others that have used the library.
std::size_t live_count() noexcept;

/// What has no room is left out, whole characters of UTF-8.
void set_name(ThreadRecord& record, std::string_view name) noexcept;
/// Ends at a 0.
using NameBytes = std::array<char, sizeof(ThreadRecord::name) + 1>;
NameBytes name_bytes(const ThreadRecord& record) noexcept;
std::string name_of(const ThreadRecord& record);

// --- Interrupts

/// Makes `thread` look around at its next safe point, and at once if it waits in a way that
/// interrupts may end. Async-signal-safe. What it is to find must have been written before.
///
/// Lossless: `pending` is set before the poke, and `park` arms the parker before it reads
/// `pending`. Both are read-modify-writes of the parker's word: if the poke comes first there,
/// `arm` acquires what it released and `park` sees `pending`; if it comes second, it is still in
/// the word when the thread would fall asleep. release: what was written before is seen by who
/// takes `pending`.
inline void interrupt(ThreadRecord& thread) noexcept {
  thread.pending.store(1, std::memory_order_release);
  thread.parker.poke();
}

/// At a safe point of the thread itself: true if it was interrupted since it last asked.
inline bool take_pending(ThreadRecord& me) noexcept {
  // acquire: pairs with `interrupt`. An exchange, so that what comes after it is not wiped out.
  return me.pending.exchange(0, std::memory_order_acquire) != 0;
}

/// A thread's note to itself: something is left for its next safe point.
inline void look_again(ThreadRecord& me) noexcept {
  // relaxed: it tells nobody else anything. A read-modify-write and not a store, which would stand
  // between what another thread has set meanwhile and `take_pending`: that would then acquire from
  // here, and not what the other had written before. Not an exchange either: clang makes a store of
  // one whose result nobody wants.
  me.pending.fetch_or(1, std::memory_order_relaxed);
}

/// Sends a letter to the thread of that ident, or that a lock word names, and interrupts it.
/// @return its record, which may be another thread's by now; null, and the letter is still the
/// caller's: no such thread
ThreadRecord* send(std::uintptr_t ident, Letter& letter) noexcept;
ThreadRecord* send_to_holder(std::uint32_t holder, Letter& letter) noexcept;

/// The main thread's record: where signal handlers run. The main thread is the one that ran main,
/// or forked; null until it has a record, and when it has ended. acquire/release: whoever finds it
/// finds it whole.
extern constinit std::atomic<ThreadRecord*> main_thread;

/// Where the records are, for whoever reads this memory without our code: src/post_mortem.h.
struct RecordsLayout {
  const void* chunks;    ///< pointers to chunks of records, as many as are not null
  std::uintptr_t limit;  ///< but at most so many
  std::uintptr_t size;   ///< of a chunk, in records
  std::uintptr_t first;  ///< offset of a chunk's first record
};
extern const RecordsLayout records_layout;

/// In the child of a fork: this thread is the only one, and main. All others' records are free, in
/// a new generation. See fork.h.
void keep_only(ThreadRecord* me) noexcept;

}  // namespace underthread::lot
