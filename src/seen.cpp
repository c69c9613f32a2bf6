#include "seen.h"

#include <algorithm>

#include "post_mortem.h"

namespace underthread {
namespace {

// A linker takes from a static library only what something refers to. This file it always takes
// where threads can wait: a deadlock may have to be told.
[[gnu::used]] constinit const PostMortem* const described = &post_mortem;

ThreadWords words_of(const ThreadSeen& thread) {
  return {thread.ident, thread.native_id, thread.name, thread.is_main, thread.holds_interrupts};
}

}  // namespace

std::string text_of_count(std::size_t number, const char* one) {
  TextBuffer text;
  say_count(text, number, one);
  return std::string(text.view());
}

std::string short_name_in(const Snapshot& all, Ident ident) {
  if (ident == 0) return std::string(ended_thread);
  TextBuffer text;
  if (const ThreadSeen* const thread = all.find(ident))
    say_short(text, words_of(*thread));
  else
    text << "thread (ident " << ident << ")";
  return std::string(text.view());
}

LockWords words_of(const LockSeen& lock) {
  return {lock.kind, lock.address, lock.name};
}

std::string text_of_wait(const ThreadSeen& thread, const Snapshot& all) {
  TextBuffer text;
  if (thread.wait) {
    const WaitSeen& wait = *thread.wait;
    const std::string blocker = short_name_in(all, wait.blocker);
    const WaitWords words{
        .lock = {wait.kind, wait.address, wait.name},
        .lasted = wait.lasted.count(),
        .is_timed = wait.left.has_value(),
        .left = wait.left ? wait.left->count() : 0,
        .has_blocker = wait.has_blocker,
        .only_it_can = wait.only_it_can,
        .blocker = blocker,
        .blocker_is_itself = wait.blocker == thread.ident,
    };
    say_wait(text, words_of(thread), &words);
  } else {
    say_wait(text, words_of(thread), nullptr);
  }
  return std::string(text.view());
}

std::string text_of_deadlock(const DeadlockSeen& deadlock, const Snapshot& all) {
  std::string text(deadlock_head(deadlock.kind));
  for (const Ident thread : deadlock.threads) text += short_name_in(all, thread) + " -> ";
  return text + short_name_in(all, deadlock.is_orphaned ? 0 : deadlock.threads.front());
}

WaitSeen seen_wait(const lot::WaitEdge& edge, std::int64_t now) {
  WaitSeen wait;
  wait.kind = edge.kind->name;
  if (edge.kind->is_lock) {
    wait.address = edge.key;
    wait.name = name_of_lock(edge.key);
  }
  wait.lasted = std::chrono::nanoseconds(std::max<std::int64_t>(now - edge.since, 0));
  if (edge.is_timed())
    wait.left = std::chrono::nanoseconds(std::max<std::int64_t>(edge.until - now, 0));
  wait.interrupts_end_it = edge.wake_for != lot::WakeFor::nothing;
  wait.has_blocker = edge.blocker != 0;
  wait.blocker = lot::ident_of(lot::thread_of(edge.blocker));
  wait.only_it_can = (edge.blocker & lot::only_it) != 0;
  return wait;
}

ThreadSeen seen_thread(std::uint32_t holder) {
  ThreadSeen thread;
  thread.ident = lot::ident_of(holder);
  if (thread.ident == 0) return thread;
  const lot::ThreadRecord& record = *lot::record_of(holder);
  thread.native_id = record.native_id.load(std::memory_order_relaxed);
  thread.name = lot::name_of(record);
  thread.is_main = lot::main_thread.load(std::memory_order_acquire) == &record;
  thread.holds_interrupts = record.interrupts_held.load(std::memory_order_relaxed) != 0;
  // Another may have the record by now.
  return lot::is_alive(holder) ? thread : ThreadSeen();
}

std::string ThreadSeen::text() const {
  TextBuffer text;
  say_thread(text, words_of(*this));
  return std::string(text.view());
}

std::string LockSeen::text() const {
  TextBuffer text;
  say_lock(text, words_of(*this));
  return std::string(text.view());
}

}  // namespace underthread
