#include "sentences.h"

#include <algorithm>
#include <array>

namespace underthread {

void say_time(TextBuffer& text, std::int64_t ns) noexcept {
  struct Unit {
    std::uint64_t ns;
    std::string_view name;
  };
  constexpr std::array<Unit, 3> units{{{1'000'000'000, " s"}, {1'000'000, " ms"}, {1'000, " us"}}};
  const auto time = static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0));
  const Unit* unit = units.begin();
  while (unit + 1 != units.end() && time < unit->ns) ++unit;
  if (time < 10 * unit->ns) {
    const std::uint64_t tenths = (time + unit->ns / 20) / (unit->ns / 10);
    text << tenths / 10 << "." << tenths % 10;
  } else {
    text << (time + unit->ns / 2) / unit->ns;
  }
  text << unit->name;
}

void say_count(TextBuffer& text, std::size_t number, std::string_view one) noexcept {
  text << number << " " << one << (number == 1 ? "" : "s");
}

void say_thread(TextBuffer& text, const ThreadWords& thread, bool in_hex) noexcept {
  text << (!thread.name.empty() ? thread.name
           : thread.is_main     ? "main thread"
                                : "thread")
       << " (ident " << thread.ident;
  // NOLINTNEXTLINE(performance-no-int-to-ptr): only to be written.
  if (in_hex) (text << " = ").put_address(reinterpret_cast<const void*>(thread.ident));
  text << ", native id " << thread.native_id << ")";
}

void say_short(TextBuffer& text, const ThreadWords& thread) noexcept {
  if (!thread.name.empty())
    text << thread.name;
  else if (thread.is_main)
    text << "the main thread";
  else
    text << "thread " << thread.native_id;
}

void say_lock(TextBuffer& text, const LockWords& lock) noexcept {
  text << lock.kind;
  if (lock.name.empty())
    (text << " at ").put_address(lock.address);
  else
    text << " '" << lock.name << "'";
}

void say_wait(TextBuffer& text, const ThreadWords& thread, const WaitWords* wait) noexcept {
  if (!wait) {
    text << "runs, or waits for something else";
  } else {
    const bool is_sleep = wait->lock.kind == "sleep";
    text << (is_sleep ? "has slept for " : "has waited ");
    say_time(text, wait->lasted);
    if (wait->lock.address) {
      text << " for ";
      say_lock(text, wait->lock);
      // A condition's waiter has acquired its lock once before, for another to release it.
      if (wait->has_blocker && wait->blocker_is_itself)
        text << (wait->only_it_can ? ", which it holds itself"
                                   : ", which another thread is to release");
      else if (wait->has_blocker)
        text << ", held by " << wait->blocker
             << (wait->only_it_can ? "" : " (any thread may release it)");
    } else if (wait->lock.kind == "join" && wait->has_blocker) {
      text << " for " << wait->blocker << " to end";
    }
    if (wait->is_timed) {
      text << ", for at most ";
      say_time(text, wait->left);
      text << " more";
    }
  }
  if (thread.holds_interrupts) text << "; it holds interrupts off";
}

void say_summary(TextBuffer& text, std::size_t threads, std::size_t waiting) noexcept {
  say_count(text, threads, "thread");
  text << ": " << waiting << " in waits of underthread, " << threads - std::min(waiting, threads)
       << " elsewhere";
}

void say_most_waited_for(TextBuffer& text, const LockWords& lock, std::size_t waiting,
                         std::string_view holder, std::int64_t held) noexcept {
  text << "most waited for: ";
  say_lock(text, lock);
  text << ", by ";
  say_count(text, waiting, "thread");
  if (!holder.empty()) {
    text << "; " << holder << " has held it for ";
    say_time(text, held);
    text << " or more";
  }
}

std::string_view name_of(lot::Deadlock kind) noexcept {
  switch (kind) {
    case lot::Deadlock::certain:
      return "certain";
    case lot::Deadlock::possible:
      return "possible";
    case lot::Deadlock::timed:
      return "timed";
    case lot::Deadlock::none:
      break;
  }
  return "";
}

std::string_view deadlock_head(std::string_view kind) noexcept {
  if (kind == "possible") return "possible deadlock: ";
  return kind == "timed" ? "deadlock for a limited time: " : "deadlock: ";
}

}  // namespace underthread
