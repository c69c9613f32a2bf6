#include "lot/parking_lot.h"

#include <array>

#include "lot/mutex.h"
#include "lot/treap.h"
#include "os/futex.h"

namespace underthread::lot {
namespace {

/// The queues of all keys that hash here: a treap of each key's first waiter, the others behind it.
struct alignas(64) Bucket {
  Mutex mutex;
  Treap<Waiter> firsts;
};

constexpr int bucket_bits = 8;
constinit std::array<Bucket, std::size_t{1} << bucket_bits> buckets{};

/// See Queue. Each is guarded by its bucket, and not in it: it stays when nobody waits any more.
constinit std::array<std::int64_t, std::size_t{1} << bucket_bits> handed_over_at{};

std::uintptr_t number_of(const void* key) noexcept {
  return reinterpret_cast<std::uintptr_t>(key);
}

Bucket& bucket_of(const void* key) noexcept {
  return buckets[bucket_number(key)];
}

void enqueue(Bucket& bucket, std::uintptr_t key, Waiter& waiter) noexcept {
  waiter.handed_over = false;
  waiter.next = waiter.prev = nullptr;
  Waiter* first = bucket.firsts.find(key);
  if (!first) {
    waiter.last = &waiter;
    bucket.firsts.insert(waiter, key);
    return;
  }
  waiter.key = key;
  // Newcomers belong at the end. Only one that waits again, having lost to another, is older than
  // the end; it comes from the front and belongs near it.
  if (waiter.since >= first->last->since) {
    waiter.prev = first->last;
    first->last->next = &waiter;
    first->last = &waiter;
    return;
  }
  Waiter* behind = first;
  while (behind->since <= waiter.since) behind = behind->next;
  waiter.next = behind;
  waiter.prev = behind->prev;
  behind->prev = &waiter;
  if (waiter.prev) {
    waiter.prev->next = &waiter;
  } else {
    waiter.last = first->last;
    bucket.firsts.replace(*first, waiter);
  }
}

void dequeue(Bucket& bucket, Waiter& waiter) noexcept {
  // relaxed: who looks without the bucket and misses it looks once more, with it.
  waiter.thread->waits_for.store(nullptr, std::memory_order_relaxed);
  if (!waiter.prev) {
    if (!waiter.next) {
      bucket.firsts.erase(waiter);
      return;
    }
    waiter.next->prev = nullptr;
    waiter.next->last = waiter.last;
    bucket.firsts.replace(waiter, *waiter.next);
    return;
  }
  waiter.prev->next = waiter.next;
  if (waiter.next)
    waiter.next->prev = waiter.prev;
  else
    bucket.firsts.find(waiter.key)->last = waiter.prev;
}

/// Under the bucket. False: the thread does not stand in that queue.
bool find_edge(const ThreadRecord& thread, const void* key, WaitEdge& edge) noexcept {
  if (thread.waits_for.load(std::memory_order_relaxed) != key) return false;
  edge = edge_of(thread.waiter);
  return true;
}

}  // namespace

WaitEdge edge_of(const Waiter& waiter) noexcept {
  WaitEdge edge;
  // relaxed: in its thread, or `look_at` sees to it.
  edge.waiter = waiter.thread->live.load(std::memory_order_relaxed);
  edge.key = reinterpret_cast<const void*>(waiter.key);
  edge.kind = waiter.kind;
  edge.token = waiter.token;
  edge.blocker = waiter.kind->blocker ? waiter.kind->blocker(waiter) : 0;
  edge.is_first = !waiter.prev;
  edge.number = waiter.number;
  edge.since = waiter.since;
  edge.until = waiter.until;
  edge.wake_for = waiter.wake_for;
  return edge;
}

std::size_t bucket_number(const void* key) noexcept {
  const std::uint64_t mixed = static_cast<std::uint64_t>(number_of(key)) * 0x9E3779B97F4A7C15u;
  return mixed >> (64 - bucket_bits);
}

ParkEnd park(ThreadRecord& me, const void* key, Callback<bool()> validate, Wait& wait,
             std::uint32_t token, const WaitKind& kind) noexcept {
  const bool may_interrupt = wait.wake_for != WakeFor::nothing;
  // From here on a poke is not forgotten, so what was pending before is looked at now.
  me.parker.arm();
  // relaxed: `interrupt` argues it.
  if (may_interrupt && me.pending.load(std::memory_order_relaxed) != 0) return ParkEnd::interrupted;

  if (wait.since == 0) wait.since = os::now();
  Waiter& waiter = me.waiter;
  Bucket& bucket = bucket_of(key);
  WaitEdge edge;
  {
    Locked locked(bucket.mutex);
    if (!validate()) return ParkEnd::refused;
    waiter.since = wait.since;
    waiter.token = token;
    waiter.kind = &kind;
    waiter.until = wait.over != 0 ? wait.over : wait.until;
    waiter.wake_for = wait.wake_for;
    ++waiter.number;
    enqueue(bucket, number_of(key), waiter);
    // seq_cst: see wait_graph.h.
    me.waits_for.store(key, std::memory_order_seq_cst);
    if (wait.tells_deadlock) edge = edge_of(waiter);
    if (wait.told_deadlock) me.told.store(waiter.number, std::memory_order_relaxed);
  }

  ParkEnd end = ParkEnd::unparked;
  bool asleep = true;
  if (edge.blocker != 0 && !wait.told_deadlock && closes_path(edge) != Deadlock::none) {
    end = ParkEnd::deadlock;
    asleep = false;
  }
  while (asleep) {
    switch (me.parker.sleep(wait.until)) {
      case os::Slept::woken:
        asleep = false;
        break;
      case os::Slept::poked:
        // relaxed: the poke that we took acquired it. Not set: the poke was for an earlier wait, or
        // for the thread that had this record before.
        if (!may_interrupt || me.pending.load(std::memory_order_relaxed) == 0) break;
        end = ParkEnd::interrupted;
        asleep = false;
        break;
      case os::Slept::signalled:
        if (wait.wake_for != WakeFor::interrupts_and_signals) break;
        end = ParkEnd::interrupted;
        asleep = false;
        break;
      case os::Slept::timed_out:
        end = ParkEnd::timed_out;
        asleep = false;
        break;
    }
  }

  if (end != ParkEnd::unparked) {
    Locked locked(bucket.mutex);
    // relaxed: who chooses this thread writes it under the bucket.
    if (me.waits_for.load(std::memory_order_relaxed)) {
      dequeue(bucket, waiter);
      if (end == ParkEnd::deadlock) wait.told_deadlock = true;
      return end;
    }
  }
  // Chosen. If that was not what woke us, whoever chose us is about to; until it has, it may still
  // read this record's queue links.
  if (end != ParkEnd::unparked)
    while (me.parker.sleep(never) != os::Slept::woken) {
    }
  // Written before the wake that we have had.
  return waiter.handed_over ? ParkEnd::handed_over : ParkEnd::unparked;
}

WaitEnd pass_time(ThreadRecord& me, Wait& wait) noexcept {
  if (wait.until <= 0) return WaitEnd::timed_out;
  // A key that nobody else has.
  const auto always = [] { return true; };
  const ParkEnd end = park(me, &me.parker, always, wait, 0, sleep_wait);
  return end == ParkEnd::interrupted ? WaitEnd::interrupted : WaitEnd::timed_out;
}

void unpark_one(const void* key, Callback<Choice(const Queue& queue)> choose) noexcept {
  Bucket& bucket = bucket_of(key);
  ThreadRecord* chosen = nullptr;
  {
    Locked locked(bucket.mutex);
    Waiter* first = bucket.firsts.find(number_of(key));
    const Choice choice = choose({first, first && first->next, handed_over_at[bucket_number(key)]});
    if (!first || choice == Choice::leave) return;
    first->handed_over = choice == Choice::hand_over;
    dequeue(bucket, *first);
    chosen = first->thread;
  }
  chosen->parker.wake();
}

std::size_t unpark_all(const void* key) noexcept {
  Bucket& bucket = bucket_of(key);
  Waiter* chosen = nullptr;
  {
    Locked locked(bucket.mutex);
    chosen = bucket.firsts.find(number_of(key));
    if (!chosen) return 0;
    bucket.firsts.erase(*chosen);
    for (Waiter* waiter = chosen; waiter; waiter = waiter->next)
      waiter->thread->waits_for.store(nullptr, std::memory_order_relaxed);
  }
  std::size_t count = 0;
  while (chosen) {
    // Read before the wake: after it the waiter is its thread's again.
    Waiter* next = chosen->next;
    chosen->thread->parker.wake();
    chosen = next;
    ++count;
  }
  return count;
}

WaitEdge last_wait(const ThreadRecord& me) noexcept {
  return edge_of(me.waiter);
}

bool look_at_waiter(const ThreadRecord& thread, const void* key, WaitEdge& edge) noexcept {
  const Locked locked(bucket_of(key).mutex);
  return find_edge(thread, key, edge);
}

Look try_look_at_waiter(const ThreadRecord& thread, const void* key, WaitEdge& edge) noexcept {
  const TriedLock locked(bucket_of(key).mutex);
  if (!locked) return Look::busy;
  return find_edge(thread, key, edge) ? Look::waits : Look::runs;
}

std::size_t try_count_waiters(const void* key) noexcept {
  Bucket& bucket = bucket_of(key);
  const TriedLock locked(bucket.mutex);
  std::size_t count = 0;
  if (!locked) return 0;
  for (const Waiter* each = bucket.firsts.find(number_of(key)); each; each = each->next) ++count;
  return count;
}

void forget_waiters() noexcept {
  for (Bucket& bucket : buckets) {
    bucket.mutex.forget();
    bucket.firsts.clear();
  }
}

}  // namespace underthread::lot
