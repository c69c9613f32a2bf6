#include "lot/thread_record.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <new>
#include <utility>

#include "lot/fork.h"
#include "lot/mutex.h"
#include "os/fatal.h"
#include "os/native_thread.h"
#include "os/nudge.h"

namespace underthread::lot {

// Said again: the declaration's attribute does not reach the uses in this file.
[[gnu::tls_model("initial-exec")]] constinit thread_local ThreadHead* this_thread = nullptr;

constinit std::atomic<ThreadRecord*> main_thread{nullptr};

namespace {

constexpr std::uint32_t index_limit = std::uint32_t{1} << index_bits;

/// 256 of something, as bits.
class Set {
 public:
  void insert(std::uint32_t number) noexcept { words_[number / 64] |= bit(number); }
  void erase(std::uint32_t number) noexcept { words_[number / 64] &= ~bit(number); }
  bool has(std::uint32_t number) const noexcept { return words_[number / 64] & bit(number); }
  /// The smallest; 256: it is empty.
  std::uint32_t first() const noexcept {
    std::uint32_t word = 0;
    while (word < words_.size() && words_[word] == 0) ++word;
    return word * 64 +
           (word < words_.size() ? static_cast<std::uint32_t>(std::countr_zero(words_[word])) : 0);
  }
  Set but_for(const Set& others) const noexcept {
    Set left = *this;
    for (std::size_t word = 0; word < words_.size(); ++word)
      left.words_[word] &= ~others.words_[word];
    return left;
  }
  static Set all() noexcept {
    Set set;
    set.words_.fill(~std::uint64_t{0});
    return set;
  }

 private:
  static std::uint64_t bit(std::uint32_t number) noexcept {
    return std::uint64_t{1} << (number % 64);
  }
  std::array<std::uint64_t, 4> words_{};
};

/// Which records are nobody's is kept apart from them, so that neither the child of a fork nor
/// whoever looks for one touches those that are not used.
struct alignas(64) Chunk {
  static constexpr std::uint32_t size = 256;

  explicit Chunk(std::uint32_t number) noexcept {
    for (std::uint32_t i = 0; i < size; ++i) {
      records[i].index = number * size + i;
      records[i].waiter.thread = &records[i];
      records[i].by_ident.record = &records[i];
    }
    // Index 0 is nobody's, so that no holder is 0.
    if (number == 0) free.erase(0);
  }

  Set free = Set::all();
  Set used_up;
  std::array<ThreadRecord, size> records;
};

// Filled from the front, never emptied. A chunk is published (release) before an index in it is
// given out, so whoever has a holder word finds its chunk (acquire).
constinit std::array<std::atomic<Chunk*>, index_limit / Chunk::size> chunks{};

struct Registry {
  Mutex mutex;  // guards the rest, the chunks' sets, and every record's holder
  Treap<ThreadRecord::ByIdent> by_ident;
  std::uint32_t chunk_count = 0;
  // None before it has a free record.
  std::uint32_t first_with_free = 0;
  // Where records that are used up begin again.
  std::uint32_t next_used_up = 0;
  // Threads that came back to us after their end.
  ThreadRecord* first_late = nullptr;
  std::size_t live = 0;
};

constinit Registry registry;

Chunk* chunk_of(std::uint32_t index) noexcept {
  return chunks[index / Chunk::size].load(std::memory_order_acquire);
}

ThreadRecord* at(std::uint32_t index) noexcept {
  Chunk* const chunk = chunk_of(index);
  return chunk ? &chunk->records[index % Chunk::size] : nullptr;
}

void put_free(ThreadRecord& record) noexcept {
  record.state = RecordState::nobodys;
  record.holder = 0;
  const std::uint32_t number = record.index / Chunk::size;
  Chunk& chunk = *chunk_of(record.index);
  if (record.generation == last_generation) {
    chunk.used_up.insert(record.index % Chunk::size);
    return;
  }
  chunk.free.insert(record.index % Chunk::size);
  registry.first_with_free = std::min(registry.first_with_free, number);
}

bool make_chunk() noexcept {
  void* const memory = os::map_for_ever(sizeof(Chunk));
  if (!memory) return false;
  chunks[registry.chunk_count].store(new (memory) Chunk(registry.chunk_count),
                                     std::memory_order_release);
  ++registry.chunk_count;
  return true;
}

/// All have been used up that are not in use: those of one chunk begin again.
bool begin_again() noexcept {
  for (std::uint32_t turn = 0; turn < registry.chunk_count; ++turn) {
    const std::uint32_t number = registry.next_used_up;
    registry.next_used_up = (number + 1) % registry.chunk_count;
    Chunk& chunk = *chunk_of(number * Chunk::size);
    if (chunk.used_up.first() == Chunk::size) continue;
    for (std::uint32_t i = 0; i < Chunk::size; ++i)
      if (chunk.used_up.has(i)) chunk.records[i].generation = 0;
    chunk.free = std::exchange(chunk.used_up, {});
    registry.first_with_free = number;
    return true;
  }
  return false;
}

ThreadRecord* take_free(NoRecord& reason) noexcept {
  for (;;) {
    for (std::uint32_t& number = registry.first_with_free; number < registry.chunk_count;
         ++number) {
      Chunk& chunk = *chunk_of(number * Chunk::size);
      const std::uint32_t first = chunk.free.first();
      if (first == Chunk::size) continue;
      chunk.free.erase(first);
      // Only in the child of a fork, which finds all free that are not in use there.
      if (chunk.records[first].generation == last_generation) {
        chunk.used_up.insert(first);
        continue;
      }
      return &chunk.records[first];
    }
    reason = NoRecord::memory;
    if (registry.chunk_count < chunks.size() && make_chunk()) continue;
    if (registry.chunk_count == chunks.size()) reason = NoRecord::threads;
    if (!begin_again()) return nullptr;
  }
}

/// Late threads are not told of, so it is asked whether they have ended: one for each that starts.
void free_late() noexcept {
  ThreadRecord* const late = registry.first_late;
  if (!late || !os::has_ended(late->native_id.load(std::memory_order_relaxed))) return;
  registry.first_late = late->next_late;
  if (os::Nudge* const nudge = late->nudge.load(std::memory_order_relaxed)) nudge->put_away();
  late->live.store(0, std::memory_order_release);
  put_free(*late);
}

void unlist(ThreadRecord& record) noexcept {
  registry.by_ident.erase(record.by_ident);
  --registry.live;
  record.state = RecordState::ended;
  // release: whoever sees that the thread is gone sees all that it did before (Thread::is_lost).
  record.live.store(0, std::memory_order_release);
}

void begin_generation(ThreadRecord& record) noexcept {
  ++record.generation;
  record.holder = (record.index << generation_bits | record.generation) << holder_shift;
  // Late pokes at the thread that was here before do no harm: one look around more.
  record.pending.store(0, std::memory_order_relaxed);
  record.native_id.store(0, std::memory_order_relaxed);
  // In the child of a fork it may be as a thread of the parent left it.
  record.live.store(0, std::memory_order_relaxed);
  record.mailbox.forget();
  record.waits_for.store(nullptr, std::memory_order_relaxed);
  record.interrupts_held.store(0, std::memory_order_relaxed);
  record.spinning = {};
  record.interruptible_scopes = 0;
  record.limits = nullptr;
  record.is_limited = false;
  record.limit_until.store(never, std::memory_order_relaxed);
  record.state = RecordState::reserved;
  record.handle = nullptr;
  record.at_end = nullptr;
  for (auto& word : record.name) word.store(0, std::memory_order_relaxed);
}

void make_live(ThreadRecord& record, std::uintptr_t ident) noexcept {
  // All release, `live` last: `ident_of` says why.
  record.born_in.store(fork_count.load(std::memory_order_relaxed), std::memory_order_release);
  record.ident.store(ident, std::memory_order_release);
  record.live.store(record.holder, std::memory_order_release);
}

void list(ThreadRecord& record, std::uintptr_t ident) noexcept {
  // The system uses an ident again only after its thread has ended. One that is still listed is a
  // thread's of whose end the system has not told us.
  if (ThreadRecord::ByIdent* stale = registry.by_ident.find(ident)) {
    unlist(*stale->record);
    stale->record->mailbox.forget();
    if (os::Nudge* const nudge = stale->record->nudge.load(std::memory_order_relaxed))
      nudge->put_away();
    put_free(*stale->record);
  }
  record.mailbox.open();
  registry.by_ident.insert(record.by_ident, ident);
  ++registry.live;
  record.state = RecordState::listed;
  make_live(record, ident);
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
    // Gone with it, and its address may be another's.
    me.handle = nullptr;
  }
  // What is left in it may run a user's destructors, with this record still ours.
  me.mailbox.close();
  // Its timer is the system's, and counts against its limits.
  if (os::Nudge* const nudge = me.nudge.load(std::memory_order_relaxed)) nudge->put_away();
  {
    Locked locked(registry.mutex);
    unlist(me);
  }
  this_thread = nullptr;
  ThreadRecord* expected = &me;
  // relaxed: a failure changes nothing, and no one may find this record as main's any more.
  main_thread.compare_exchange_strong(expected, nullptr, std::memory_order_relaxed);
  Locked locked(registry.mutex);
  put_free(me);
}

/// A thread that comes back to us when its end has been told for the last time: what it holds names
/// it, and nobody else finds it.
void attach_late(ThreadRecord& record) noexcept {
  record.native_id.store(os::thread_native_id(), std::memory_order_relaxed);
  {
    Locked locked(registry.mutex);
    make_live(record, os::thread_ident());
    record.next_late = std::exchange(registry.first_late, &record);
    record.state = RecordState::late;
  }
  this_thread = &record;
}

/// Outside the mutex, so the thread may have ended and the record be another's: that drops the
/// letter, and looks around in vain.
bool put(ThreadRecord& thread, Letter& letter) noexcept {
  if (!thread.mailbox.put(letter)) return false;
  interrupt(thread);
  return true;
}

}  // namespace

ThreadRecord* reserve(NoRecord* reason) noexcept {
  NoRecord no_record = NoRecord::memory;
  ThreadRecord* record = nullptr;
  if (watch_forks() == 0) {
    Locked locked(registry.mutex);
    free_late();
    record = take_free(no_record);
    if (record) begin_generation(*record);
  }
  if (!record && reason) *reason = no_record;
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
  if (record.holder == holder && record.state == RecordState::reserved) list(record, ident);
}

ThreadRecord* attach(NoRecord* reason) noexcept {
  ThreadRecord* record = reserve(reason);
  if (!record) return nullptr;
  if (os::thread_end_has_been_told()) {
    attach_late(*record);
    return record;
  }
  if (const int error = os::call_at_thread_end(thread_ended, record); error != 0) {
    cancel(*record);
    if (reason) *reason = error == ENOMEM ? NoRecord::memory : NoRecord::keys;
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

ThreadRecord* record_of(std::uint32_t holder) noexcept {
  return at(holder >> (holder_shift + generation_bits));
}

void for_each_thread(Callback<void(const ThreadRecord&)> seen) noexcept {
  Locked locked(registry.mutex);
  for (std::uint32_t index = 0; index < registry.chunk_count * Chunk::size; ++index) {
    const ThreadRecord& record = *at(index);
    if (record.live.load(std::memory_order_relaxed) != 0 && is_alive(record.holder)) seen(record);
  }
}

void try_each_thread(Callback<void(std::uint32_t)> seen) noexcept {
  for (std::uint32_t index = 0; index < index_limit; ++index) {
    const ThreadRecord* const record = at(index);
    // Chunks are filled from the front.
    if (!record) return;
    const std::uint32_t holder = record->live.load(std::memory_order_acquire);
    if (holder != 0 && is_alive(holder)) seen(holder);
  }
}

std::uintptr_t ident_of(std::uint32_t holder) noexcept {
  const ThreadRecord* record = record_of(holder);
  if (!record) return 0;
  // acquire: the ident of that generation is seen, or a later one.
  if (record->live.load(std::memory_order_acquire) != holder) return 0;
  // acquire, both: if they are a later one's, then that `live` was cleared before is seen too.
  const std::uintptr_t ident = record->ident.load(std::memory_order_acquire);
  const bool is_of_this_process =
      record->born_in.load(std::memory_order_acquire) == fork_count.load(std::memory_order_relaxed);
  return is_of_this_process && record->live.load(std::memory_order_relaxed) == holder ? ident : 0;
}

std::size_t live_count() noexcept {
  Locked locked(registry.mutex);
  return registry.live;
}

#pragma GCC diagnostic push
// Compilers know where members are also where the standard does not promise it.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
constinit const RecordsLayout records_layout{&chunks, chunks.size(), Chunk::size,
                                             offsetof(Chunk, records)};
#pragma GCC diagnostic pop

void set_name(ThreadRecord& record, std::string_view name) noexcept {
  std::array<char, sizeof(record.name)> bytes{};
  std::size_t size = name.size();
  if (size >= bytes.size()) {
    size = bytes.size() - 1;
    while (size > 0 && (static_cast<unsigned char>(name[size]) & 0xC0) == 0x80) --size;
  }
  std::memcpy(bytes.data(), name.data(), size);
  for (std::size_t i = 0; i < record.name.size(); ++i) {
    std::uint64_t word;
    std::memcpy(&word, bytes.data() + i * sizeof word, sizeof word);
    record.name[i].store(word, std::memory_order_relaxed);
  }
}

NameBytes name_bytes(const ThreadRecord& record) noexcept {
  NameBytes bytes{};
  for (std::size_t i = 0; i < record.name.size(); ++i) {
    const std::uint64_t word = record.name[i].load(std::memory_order_relaxed);
    std::memcpy(bytes.data() + i * sizeof word, &word, sizeof word);
  }
  return bytes;
}

std::string name_of(const ThreadRecord& record) {
  return name_bytes(record).data();
}

ThreadRecord* send(std::uintptr_t ident, Letter& letter) noexcept {
  ThreadRecord* const thread =
      find(ident, [&](ThreadRecord& record) { letter.holder = record.holder; });
  return thread && put(*thread, letter) ? thread : nullptr;
}

ThreadRecord* send_to_holder(std::uint32_t holder, Letter& letter) noexcept {
  if (!is_alive(holder)) return nullptr;
  letter.holder = holder;
  ThreadRecord* const thread = record_of(holder);
  return put(*thread, letter) ? thread : nullptr;
}

void keep_only(ThreadRecord* me) noexcept {
  registry.mutex.forget();
  registry.by_ident.clear();
  registry.first_late = nullptr;
  registry.live = 0;
  // A chunk that was just being made may not be found here; it is made once more.
  registry.chunk_count = 0;
  while (registry.chunk_count < chunks.size() && chunk_of(registry.chunk_count * Chunk::size))
    ++registry.chunk_count;
  // The records of threads that are not here are not touched: each begins its next generation as
  // any other, and until then it is older than this process.
  for (std::uint32_t number = 0; number < registry.chunk_count; ++number) {
    Chunk& chunk = *chunk_of(number * Chunk::size);
    chunk.free = Set::all().but_for(chunk.used_up);
  }
  registry.first_with_free = 0;
  if (registry.chunk_count > 0) chunk_of(0)->free.erase(0);
  main_thread.store(me, std::memory_order_relaxed);
  if (!me) return;
  chunk_of(me->index)->free.erase(me->index % Chunk::size);
  chunk_of(me->index)->used_up.erase(me->index % Chunk::size);
  me->mailbox.forget();
  me->pending.store(0, std::memory_order_relaxed);
  me->native_id.store(os::thread_native_id(), std::memory_order_relaxed);
  list(*me, os::thread_ident());
}

}  // namespace underthread::lot
