// What is shown of threads and locks, from what the lot says of them.
#pragma once

#include <underthread/snapshot.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lot/wait_graph.h"
#include "sentences.h"
#include "text_buffer.h"

namespace underthread {

/// @param now  of the monotonic clock
WaitSeen seen_wait(const lot::WaitEdge& edge, std::int64_t now);

/// The thread that a lock word names, without its wait. One that has ended has no ident.
ThreadSeen seen_thread(std::uint32_t holder);

/// "1 thread", "2 threads".
std::string text_of_count(std::size_t number, const char* one);
/// What a thread is called in a sentence about another; 0: one that has ended.
std::string short_name_in(const Snapshot& all, Ident ident);
LockWords words_of(const LockSeen& lock);
/// "has waited 3.2 s for lock 'accounts', held by worker 1".
std::string text_of_wait(const ThreadSeen& thread, const Snapshot& all);

/// "deadlock: worker 1 -> worker 2 -> worker 1".
std::string text_of_deadlock(const DeadlockSeen& deadlock, const Snapshot& all);

/// A lock or an RLock that is there: its word, without `parked`.
std::uint32_t holder_of(const void* lock) noexcept;

/// Empty: the lock at that address has none.
std::string name_of_lock(const void* lock);
/// The same for signal handlers. False: the names cannot be read at this moment.
bool try_name_of_lock(const void* lock, TextBuffer& name) noexcept;

/// For a lock that is not a C++ program's own object: names it until `unname_lock`, instead of what
/// it was called before.
void name_lock(const void* lock, bool is_rlock, std::string name);
/// Before the lock goes, whether or not it has a name. Costs a load where no lock has one.
void unname_lock(const void* lock) noexcept;

struct NamedLock {
  const void* lock;
  bool is_rlock;
  std::uint32_t holder;  ///< as holder_of
  std::shared_ptr<const std::string> name;
};
std::vector<NamedLock> named_locks();

/// Where the names are, for whoever reads this memory without our code: post_mortem.h.
struct NamesLayout {
  const void* root;     ///< a pointer to a treap's root; each of its nodes is a lock's newest name
  std::uintptr_t lock;  ///< offset in it: the lock's address
  std::uintptr_t is_rlock;  ///< a byte
  std::uintptr_t text;      ///< a pointer to bytes
  std::uintptr_t size;      ///< how many, as wide as a pointer
};
extern const NamesLayout names_layout;

}  // namespace underthread
