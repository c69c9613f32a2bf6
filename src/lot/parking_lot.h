// The lot: the one place where a thread blocks.
//
//   park    go to sleep until somebody unparks the key, the time is up, or an interrupt comes
//   unpark  wake the first thread that sleeps on a key, or all of them
//   key     any address; it is compared, never followed
//
// How to build a lock on it: keep a word, with a bit "somebody waits". To wait, set the bit and
// park on the word's address with a `validate` that looks whether the bit is still set and the lock
// still locked. To release with the bit set, unpark with a `choose` that writes the word. Both run
// under the key's bucket, so no release falls between a waiter's last look and its place in the
// queue.
//
// Order of locks: a bucket is taken with no other mutex held, and under it none is taken. Under it
// nothing allocates, throws, or calls a user's code. Who is to wake is chosen under the bucket and
// woken outside it.
//
// Within a key: first come, first chosen, by when the wait began (`Wait::since`), so a thread that
// was woken and lost to another keeps its place. What an unpark costs grows with the logarithm of
// the number of keys in its bucket and not with how many threads wait on them.
#pragma once

#include <underthread/lot/wait.h>

#include <cstddef>
#include <cstdint>

#include "lot/callback.h"
#include "lot/thread_record.h"
#include "lot/wait_graph.h"
#include "lot/wait_kind.h"

namespace underthread::lot {

/// How a `park` ended.
enum class ParkEnd : std::uint8_t {
  unparked,     ///< somebody woke this thread for its key
  handed_over,  ///< the same, and what it waited for is its own already
  refused,      ///< `validate` said no; it did not sleep
  timed_out,    ///< the moment came and nobody had chosen it
  interrupted,  ///< an interrupt came and nobody had chosen it; the interrupt is still pending
  deadlock,     ///< it would not be unparked: wait_graph.h; only if the wait tells deadlocks
};

/// Sleeps on `key`. An interrupt that is pending already ends it before it begins. Chosen wins over
/// all else: a thread that was unparked just as its time was up returns as unparked, so nothing
/// that was handed to it is lost, and an interrupt stays pending.
/// @param me        the calling thread's record
/// @param validate  called once under the bucket; false: do not sleep
/// @param wait      until when and for what; its `since` is set if it is 0
/// @param token     for whoever unparks: `Waiter::token`
/// @param kind      what it is, to who looks on
ParkEnd park(ThreadRecord& me, const void* key, Callback<bool()> validate, Wait& wait,
             std::uint32_t token = 0, const WaitKind& kind = some_wait) noexcept;

/// Sleeps until the time is up or an interrupt comes; nobody unparks it.
WaitEnd pass_time(ThreadRecord& me, Wait& wait) noexcept;

/// What to do with the first waiter.
enum class Choice : std::uint8_t { leave, wake, hand_over };

/// Who waits for a key, under its bucket.
struct Queue {
  const Waiter* first;  ///< null: nobody
  bool more;            ///< others wait behind it
  /// When a waiter was last handed what it waited for, of this key or one that shares its bucket.
  /// ns of the monotonic clock; 0: never. For whoever chooses, who alone writes it.
  std::int64_t& handed_over_at;
};

/// Calls `choose` once, under the bucket of `key`, then does as it says.
void unpark_one(const void* key, Callback<Choice(const Queue& queue)> choose) noexcept;

/// Wakes all who wait on `key`. @return how many
std::size_t unpark_all(const void* key) noexcept;

/// What a waiter's wait is. Under the bucket; or in its thread, while that stands in no queue and
/// what it waited for is not gone.
WaitEdge edge_of(const Waiter& waiter) noexcept;

/// Looks at a thread's wait under the bucket of `key`. False: it does not wait for that.
bool look_at_waiter(const ThreadRecord& thread, const void* key, WaitEdge& edge) noexcept;
/// The same for signal handlers: does not wait for the bucket.
Look try_look_at_waiter(const ThreadRecord& thread, const void* key, WaitEdge& edge) noexcept;

/// How many stand in the queue of `key`; 0 also where the bucket is locked at this moment. For
/// signal handlers.
std::size_t try_count_waiters(const void* key) noexcept;

/// Where a key's waiters are kept. Keys of one number share a mutex and delay each other, nothing
/// else; tests want such keys.
std::size_t bucket_number(const void* key) noexcept;

/// In the child of a fork: nobody waits.
void forget_waiters() noexcept;

}  // namespace underthread::lot
