#include "lot/thread_record.h"

#include <cstring>
#include <new>

#include "lot/fork.h"
#include "lot/mutex.h"
#include "os/fatal.h"
#include "os/native_thread.h"

namespace underthread::lot {

// Said again: the declaration's attribute does not reach the uses in this file.
[[gnu::tls_model("initial-exec")]] constinit thread_local ThreadHead* this_thread = nullptr;

constinit std::atomic<ThreadRecord*> main_thread{nullptr};

namespace {

constexpr std::uint32_t chunk_size = 256;
constexpr std::uint32_t index_limit = std::uint32_t{1} << index_bits;

// Filled from the front, never emptied. A chunk is published (release) before an index in it is
// given out, so whoever has a holder word finds its chunk (acquire).
constinit std::array<std::atomic<ThreadRecord*>, index_limit / chunk_size> chunks{};

struct Registry {
  Mutex mutex;  // guards the rest, and every record's holder and letters
  Treap<ThreadRecord::ByIdent> by_ident;
  // Taken from the front, returned at the back: a generation lasts as long as it can.
  ThreadRecord* first_free = nullptr;
  ThreadRecord* last_free = nullptr;
  // Index 0 is nobody's, so that no holder is 0. Atomic for the child of a fork, which finds it as
  // it was at any moment: release, after the chunk.
  std::atomic<std::uint32_t> next_index{1};
  std::size_t live = 0;
};

constinit Registry registry;

ThreadRecord* at(std::uint32_t index) noexcept {
  ThreadRecord* chunk = chunks[index / chunk_size].load(std::memory_order_acquire);
  return chunk ? &chunk[index % chunk_size] : nullptr;
}

void put_free(ThreadRecord& record) noexcept {
  record.holder = 0;
  record.next_free = nullptr;
  (registry.last_free ? registry.last_free->next_free : registry.first_free) = &record;
  registry.last_free = &record;
}

ThreadRecord* take_free() noexcept {
  ThreadRecord* record = registry.first_free;
  if (record) {
    registry.first_free = record->next_free;
    if (!registry.first_free) registry.last_free = nullptr;
    return record;
  }
  const std::uint32_t index = registry.next_index.load(std::memory_order_relaxed);
  if (index == index_limit) return nullptr;
  if (!at(index)) {
    void* memory = os::map_for_ever(sizeof(ThreadRecord) * chunk_size);
    if (!memory) return nullptr;
    ThreadRecord* chunk = static_cast<ThreadRecord*>(memory);
    for (std::uint32_t i = 0; i < chunk_size; ++i) {
      ThreadRecord* made = new (chunk + i) ThreadRecord;
      made->index = index / chunk_size * chunk_size + i;
      made->waiter.thread = made;
      made->by_ident.record = made;
    }
    chunks[index / chunk_size].store(chunk, std::memory_order_release);
  }
  registry.next_index.store(index + 1, std::memory_order_release);
  return at(index);
}

void unlist(ThreadRecord& record) noexcept {
  registry.by_ident.erase(record.by_ident);
  --registry.live;
  // release: whoever sees that the thread is gone sees all that it did before (Thread::is_lost).
  record.live.store(0, std::memory_order_release);
}

void list(ThreadRecord& record, std::uintptr_t ident) noexcept {
  // The system uses an ident again only after its thread has ended. One that is still listed is a
  // thread's that came back to us after we were told of its end, in a late thread-local destructor.
  if (ThreadRecord::ByIdent* stale = registry.by_ident.find(ident)) {
    unlist(*stale->record);
    put_free(*stale->record);
  }
  registry.by_ident.insert(record.by_ident, ident);
  ++registry.live;
  record.was_listed = true;
  // Both release, ident first: `ident_of` says why.
  record.ident.store(ident, std::memory_order_release);
  record.live.store(record.holder, std::memory_order_release);
}

void become_main(ThreadRecord& me) noexcept {
  main_thread.store(&me, std::memory_order_release);
  // What came for the main thread while it had no record could not be noted in it.
  look_again(me);
}

void thread_ended(void* argument) {
  ThreadRecord& me = *static_cast<ThreadRecord*>(argument);
  // Still this thread's record: what is called here may lock and wait.
  if (void (*at_end)(void*) = me.at_end) {
    me.at_end = nullptr;
    at_end(me.at_end_argument);
  }
  Letter* unread = nullptr;
  {
    Locked locked(registry.mutex);
    unlist(me);
    unread = me.letters;
    me.letters = nullptr;
  }
  // The thread cannot be found any more, so these are the last. What they carry may run a user's
  // destructors: outside the mutex, and with this record still ours.
  while (unread) {
    Letter* next = unread->next;
    delete unread;
    unread = next;
  }
  this_thread = nullptr;
  ThreadRecord* expected = &me;
  // relaxed: a failure changes nothing, and no one may find this record as main's any more.
  main_thread.compare_exchange_strong(expected, nullptr, std::memory_order_relaxed);
  Locked locked(registry.mutex);
  put_free(me);
}

}  // namespace

ThreadRecord* reserve() noexcept {
  if (watch_forks() != 0) return nullptr;
  Locked locked(registry.mutex);
  ThreadRecord* record = take_free();
  if (!record) return nullptr;
  constexpr std::uint32_t generations = std::uint32_t{1} << generation_bits;
  record->generation = (record->generation + 1) % generations;
  record->holder = record->index << (holder_shift + generation_bits) | record->generation
                                                                           << holder_shift;
  // Late pokes at the thread that was here before do no harm: one look around more.
  record->pending.store(0, std::memory_order_relaxed);
  record->native_id.store(0, std::memory_order_relaxed);
  record->interrupts_held = 0;
  record->spinning = {};
  record->interruptible_scopes = 0;
  record->limits = nullptr;
  record->is_limited = false;
  record->limit_until.store(never, std::memory_order_relaxed);
  record->was_listed = false;
  record->at_end = nullptr;
  for (auto& word : record->name) word.store(0, std::memory_order_relaxed);
  return record;
}

void cancel(ThreadRecord& record) noexcept {
  Locked locked(registry.mutex);
  put_free(record);
}

void adopt(ThreadRecord& record) noexcept {
  // The key exists since the parent attached, so only memory can be short.
  if (const int error = os::call_at_thread_end(thread_ended, &record); error != 0)
    os::fatal("a new thread cannot be watched", error);
  record.native_id.store(os::thread_native_id(), std::memory_order_relaxed);
  announce(record, record.holder, os::thread_ident());
  this_thread = &record;
}

void announce(ThreadRecord& record, std::uint32_t holder, std::uintptr_t ident) noexcept {
  Locked locked(registry.mutex);
  // The thread may have listed itself, and have ended, or be ending: that is not for its parent to
  // undo.
  if (record.holder == holder && !record.was_listed) list(record, ident);
}

ThreadRecord* attach() noexcept {
  ThreadRecord* record = reserve();
  if (!record) return nullptr;
  if (os::call_at_thread_end(thread_ended, record) != 0) {
    cancel(*record);
    return nullptr;
  }
  adopt(*record);
  // Not in `adopt`: to ask takes two system calls, and no thread that we start is the first.
  if (os::is_first_thread()) become_main(*record);
  return record;
}

ThreadRecord* find(std::uintptr_t ident, Callback<void(ThreadRecord&)> found) noexcept {
  Locked locked(registry.mutex);
  ThreadRecord::ByIdent* node = registry.by_ident.find(ident);
  if (!node) return nullptr;
  found(*node->record);
  return node->record;
}

std::uintptr_t ident_of(std::uint32_t holder) noexcept {
  const ThreadRecord* record = at(holder >> (holder_shift + generation_bits));
  if (!record) return 0;
  // acquire: the ident of that generation is seen, or a later one.
  if (record->live.load(std::memory_order_acquire) != holder) return 0;
  // acquire: if it is a later one's, then that `live` was cleared before is seen too.
  const std::uintptr_t ident = record->ident.load(std::memory_order_acquire);
  return record->live.load(std::memory_order_relaxed) == holder ? ident : 0;
}

std::size_t live_count() noexcept {
  Locked locked(registry.mutex);
  return registry.live;
}

void set_name(ThreadRecord& record, const std::string& name) noexcept {
  std::array<char, sizeof(record.name)> bytes{};
  std::memcpy(bytes.data(), name.data(), std::min(name.size(), bytes.size() - 1));
  for (std::size_t i = 0; i < record.name.size(); ++i) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + i * sizeof word, sizeof word);
    record.name[i].store(word, std::memory_order_relaxed);
  }
}

std::string name_of(const ThreadRecord& record) {
  std::array<char, sizeof(record.name) + 1> bytes{};
  for (std::size_t i = 0; i < record.name.size(); ++i) {
    const std::uint64_t word = record.name[i].load(std::memory_order_relaxed);
    std::memcpy(bytes.data() + i * sizeof word, &word, sizeof word);
  }
  return bytes.data();
}

ThreadRecord* send(std::uintptr_t ident, Letter& letter) noexcept {
  letter.next = nullptr;
  ThreadRecord* thread = find(ident, [&](ThreadRecord& record) {
    Letter** end = &record.letters;
    while (*end) end = &(*end)->next;
    *end = &letter;
  });
  // Outside the mutex, so the thread may have ended and the record be another's: then it looks
  // around in vain.
  if (thread) interrupt(*thread);
  return thread;
}

Letter* take_letter(ThreadRecord& me, bool& more) noexcept {
  Locked locked(registry.mutex);
  Letter* letter = me.letters;
  if (letter) me.letters = letter->next;
  more = me.letters != nullptr;
  return letter;
}

bool has_letter(const ThreadRecord& me) noexcept {
  Locked locked(registry.mutex);
  return me.letters != nullptr;
}

void keep_only(ThreadRecord* me) noexcept {
  registry.mutex.forget();
  registry.by_ident.clear();
  registry.first_free = registry.last_free = nullptr;
  registry.live = 0;
  const std::uint32_t end = registry.next_index.load(std::memory_order_acquire);
  for (std::uint32_t index = 1; index < end; ++index) {
    ThreadRecord* record = at(index);
    // Letters are dropped where they lie: they were sent to the parent's threads, and the list may
    // have been caught half changed.
    record->letters = nullptr;
    record->waits_for.store(nullptr, std::memory_order_relaxed);
    if (record == me) continue;
    record->live.store(0, std::memory_order_relaxed);
    put_free(*record);
  }
  main_thread.store(me, std::memory_order_relaxed);
  if (!me) return;
  me->pending.store(0, std::memory_order_relaxed);
  me->native_id.store(os::thread_native_id(), std::memory_order_relaxed);
  list(*me, os::thread_ident());
}

}  // namespace underthread::lot
