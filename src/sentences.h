// What is said of threads, locks and waits, in snapshots, reports and dumps alike. Nothing here
// allocates: a dump says it in signal handlers too.
#pragma once

#include <underthread/ident.h>

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "lot/wait_graph.h"
#include "text_buffer.h"

namespace underthread {

struct ThreadWords {
  Ident ident = 0;
  std::uint64_t native_id = 0;
  std::string_view name;
  bool is_main = false;
  bool holds_interrupts = false;
};

struct LockWords {
  std::string_view kind;
  const void* address = nullptr;
  std::string_view name;
};

/// Times are in ns.
struct WaitWords {
  LockWords lock;  ///< without an address: it is for something else, of that kind
  std::int64_t lasted = 0;
  bool is_timed = false;
  std::int64_t left = 0;

  bool has_blocker = false;
  bool only_it_can = false;
  std::string_view blocker;  ///< as `say_short` has it, or `ended_thread`
  bool blocker_is_itself = false;
};

inline constexpr std::string_view ended_thread = "a thread that has ended";

/// "3.2 s", "15 ms", "240 us"; "1 thread", "2 threads".
void say_time(TextBuffer& text, std::int64_t ns) noexcept;
void say_count(TextBuffer& text, std::size_t number, std::string_view one) noexcept;

/// "worker (ident 140…, native id 4711)"; and in a sentence about another: "worker", "the main
/// thread", "thread 4711".
/// @param in_hex  the ident in hexadecimal too, as debuggers and faulthandler have it
void say_thread(TextBuffer& text, const ThreadWords& thread, bool in_hex = false) noexcept;
void say_short(TextBuffer& text, const ThreadWords& thread) noexcept;

/// "lock 'accounts'", "lock at 0x7f…".
void say_lock(TextBuffer& text, const LockWords& lock) noexcept;

/// What a thread does, after its name: "has waited 3.2 s for lock 'accounts', held by worker 1".
/// @param wait  null: it runs
void say_wait(TextBuffer& text, const ThreadWords& thread, const WaitWords* wait) noexcept;

/// The first line of a dump: "3 threads: 2 in waits of underthread, 1 elsewhere".
void say_summary(TextBuffer& text, std::size_t threads, std::size_t waiting) noexcept;
/// The second: "most waited for: lock 'accounts', by 2 threads; worker has held it for 3.2 s or
/// more". `holder`: empty: it is not known.
void say_most_waited_for(TextBuffer& text, const LockWords& lock, std::size_t waiting,
                         std::string_view holder, std::int64_t held) noexcept;

/// What a line about a deadlock begins with: "deadlock: ", "possible deadlock: ".
std::string_view deadlock_head(std::string_view kind) noexcept;
std::string_view name_of(lot::Deadlock kind) noexcept;

}  // namespace underthread
