#include "seen.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "post_mortem.h"

namespace underthread {
namespace {

// A linker takes from a static library only what something refers to. This file it always takes
// where threads can wait: a deadlock may have to be told.
[[gnu::used]] constinit const PostMortem* const described = &post_mortem;

std::string hex(const void* address) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%p", address);
  return text.data();
}

std::string lock_text(const std::string& kind, const void* address, const std::string& name) {
  return kind + (name.empty() ? " at " + hex(address) : " '" + name + "'");
}

std::string name_in(const Snapshot& all, Ident ident) {
  const ThreadSeen* const thread = all.find(ident);
  return thread ? short_name(*thread) : "thread (ident " + std::to_string(ident) + ")";
}

}  // namespace

/// "3.2 s", "15 ms", "240 us".
std::string text_of_time(std::chrono::nanoseconds time) {
  struct Unit {
    double ns;
    const char* name;
  };
  constexpr std::array<Unit, 3> units{{{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}}};
  const auto ns = static_cast<double>(std::max<std::int64_t>(time.count(), 0));
  const Unit* unit = units.begin();
  while (unit + 1 != units.end() && ns < unit->ns) ++unit;
  const double number = ns / unit->ns;
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), number < 10 ? "%.1f %s" : "%.0f %s", number, unit->name);
  return text.data();
}

std::string text_of_count(std::size_t number, const char* one) {
  return std::to_string(number) + " " + one + (number == 1 ? "" : "s");
}

std::string short_name(const ThreadSeen& thread) {
  if (!thread.name.empty()) return thread.name;
  if (thread.is_main) return "the main thread";
  return "thread " + std::to_string(thread.native_id);
}

std::string text_of_holder(bool is_held, Ident holder, const Snapshot& all) {
  if (!is_held) return "free";
  if (holder == 0) return "held by a thread that has ended";
  return "held by " + name_in(all, holder);
}

std::string text_of_wait(const ThreadSeen& thread, const Snapshot& all) {
  if (!thread.wait) return "runs, or waits for something else";
  const WaitSeen& wait = *thread.wait;
  std::string text;
  if (wait.address) {
    text = "has waited " + text_of_time(wait.lasted) + " for " +
           lock_text(wait.kind, wait.address, wait.name);
    const bool is_own = wait.blocker == thread.ident;
    if (wait.has_blocker && is_own)
      text += ", which it holds itself";
    else if (wait.has_blocker)
      text += ", " + text_of_holder(true, wait.blocker, all);
    if (wait.has_blocker && !wait.only_it_can) text += " (any thread may release it)";
  } else if (wait.kind == "join" && wait.has_blocker) {
    text = "has waited " + text_of_time(wait.lasted) + " for " + name_in(all, wait.blocker) +
           " to end";
  } else if (wait.kind == "sleep") {
    text = "has slept for " + text_of_time(wait.lasted);
  } else {
    text = "has waited " + text_of_time(wait.lasted);
  }
  if (wait.left) text += ", for at most " + text_of_time(*wait.left) + " more";
  if (thread.holds_interrupts) text += "; it holds interrupts off";
  return text;
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
  const std::string numbers =
      "(ident " + std::to_string(ident) + ", native id " + std::to_string(native_id) + ")";
  if (!name.empty()) return name + " " + numbers;
  return (is_main ? "main thread " : "thread ") + numbers;
}

std::string LockSeen::text() const {
  return lock_text(kind, address, name);
}

}  // namespace underthread
