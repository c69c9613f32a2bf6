#include "post_mortem.h"

#include <algorithm>
#include <atomic>
#include <string_view>

#include "lot/fork.h"
#include "lot/thread_record.h"
#include "lot/wait_kind.h"
#include "seen.h"
#include "wait_kinds.h"

// Compilers know where members are also where the standard does not promise it.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace underthread {
namespace {

using lot::ThreadRecord;
using lot::TreapNode;
using lot::WaitKind;
using Row = PostMortem::Row;

// What is read from outside as plain numbers of these sizes.
static_assert(sizeof(ThreadRecord::live) == 4 && sizeof(ThreadRecord::born_in) == 4);
static_assert(sizeof(ThreadRecord::interrupts_held) == 4 && sizeof(lot::fork_count) == 4);
static_assert(sizeof(ThreadRecord::ident) == sizeof(void*));
static_assert(sizeof(ThreadRecord::native_id) == 8);
static_assert(sizeof(ThreadRecord::waits_for) == sizeof(void*));
static_assert(sizeof(lot::main_thread) == sizeof(void*));
static_assert(sizeof(lot::Waiter::since) == 8 && sizeof(lot::Waiter::until) == 8);
static_assert(sizeof(lot::Waiter::token) == 4 && sizeof(WaitKind::is_lock) == 1);

/// Text in an array of a fixed size, so that the loader has no pointer to it to set.
constexpr std::array<char, 24> name(std::string_view text) {
  std::array<char, 24> bytes{};
  // Not a constant where it is too long: at least one zero ends it.
  if (text.size() >= bytes.size()) throw text;
  std::copy(text.begin(), text.end(), bytes.begin());
  return bytes;
}

constexpr Row row(std::string_view text, Row::Value value) {
  return {name(text), value};
}

}  // namespace

// `retain`: the linker is not to throw away what no code refers to.
[[gnu::used, gnu::retain]] constexpr PostMortem post_mortem{
    .magic = name("underthread post-mortem"),
    .version = PostMortem::current_version,
    .word_size = sizeof(void*),
    .rows_size = PostMortem::row_count,
    .unused = 0,
    .self = &post_mortem,
    .rows = {
        // Addresses.
        row("records", &lot::records_layout),
        row("names", &names_layout),
        row("fork_count", &lot::fork_count),
        row("main_thread", &lot::main_thread),
        // WaitKinds: who must act before a wait of these ends. `lock` and `rlock`: who is named in
        // the word at the key. `sentinel`: the same, and only that thread. `join`: who is the
        // token, and only that thread. Others: nobody in particular.
        row("kind.lock", &lock_wait),
        row("kind.rlock", &rlock_wait),
        row("kind.sentinel", &sentinel_wait),
        row("kind.join", &join_wait),
        row("kind.sleep", &lot::sleep_wait),
        // Offsets.
        row("kind.name", offsetof(WaitKind, name)),
        row("kind.is_lock", offsetof(WaitKind, is_lock)),
        row("record.live", offsetof(ThreadRecord, live)),
        row("record.ident", offsetof(ThreadRecord, ident)),
        row("record.native_id", offsetof(ThreadRecord, native_id)),
        row("record.born_in", offsetof(ThreadRecord, born_in)),
        row("record.waits_for", offsetof(ThreadRecord, waits_for)),
        row("record.interrupts_held", offsetof(ThreadRecord, interrupts_held)),
        row("record.name", offsetof(ThreadRecord, name)),
        row("waiter.since", offsetof(ThreadRecord, waiter.since)),
        row("waiter.until", offsetof(ThreadRecord, waiter.until)),
        row("waiter.token", offsetof(ThreadRecord, waiter.token)),
        row("waiter.kind", offsetof(ThreadRecord, waiter.kind)),
        row("node.less", offsetof(TreapNode, less)),
        row("node.more", offsetof(TreapNode, more)),
        // Sizes, and bits of lock words.
        row("record.size", sizeof(ThreadRecord)),
        row("record.name_size", sizeof(ThreadRecord::name)),
        row("word.holder_shift", lot::holder_shift),
        row("word.only_it", lot::only_it),
    }};
static_assert(post_mortem.rows.back().name[0] != 0, "row_count is how many there are");

}  // namespace underthread
