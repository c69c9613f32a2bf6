// Parker: where one thread sleeps, and how others end that. Each thread has one.
//
// wake  ends a sleep for good: exactly one for each time that the thread was chosen.
// poke  ends a sleep so that the thread looks around: any number, at any time, also when it does
// not
//       sleep, and from a signal handler.
//
// The word, written by the sleeper (asleep) and by wakers (woken, poked):
//
//   0                   awake, nothing has come
//   asleep              asleep, or about to be: whoever sets another bit makes the system call too
//   woken / poked       it came. A sleep that starts now ends at once: the system call that sleeps
//                       compares the word with `asleep` alone, so nothing is lost between the
//                       last look and the sleep
//
// Orderings: wake and poke release, sleep and arm acquire, all of them read-modify-writes of one
// word. So whatever the waker wrote before is seen after the sleep; and of a poke and an `arm` one
// comes first in the word's order: a poke before it has published its reason to `arm`, a poke after
// it is still in the word when the thread falls asleep. That is why nothing here is seq_cst.
#pragma once

#include <atomic>
#include <cstdint>

namespace underthread::os {

enum class Slept : std::uint8_t { woken, poked, timed_out, signalled };

class Parker {
 public:
  /// Before the owner announces that it will sleep: forgets old pokes. What they were for must be
  /// looked at after this.
  void arm() noexcept { word_.exchange(0, std::memory_order_acquire); }

  /// Sleeps, in the owner, until a wake or poke since `arm`, the moment `until` (ns of the
  /// monotonic clock), or the return of a signal handler. A wake wins over all else that came with
  /// it.
  Slept sleep(std::int64_t until) noexcept;

  /// Both async-signal-safe: one atomic operation, and one system call if the owner sleeps. The
  /// parker's memory must stay, the owner need not.
  void wake() noexcept { set(woken); }
  void poke() noexcept { set(poked); }

 private:
  static constexpr std::uint32_t asleep = 1;
  static constexpr std::uint32_t woken = 2;
  static constexpr std::uint32_t poked = 4;

  void set(std::uint32_t bit) noexcept;

  std::atomic<std::uint32_t> word_{0};
};

}  // namespace underthread::os
