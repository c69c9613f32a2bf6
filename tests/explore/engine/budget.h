// Budget: how often in one run something may happen that need not. What bounds the number of runs.
#pragma once

#include <bit>
#include <cstdint>

namespace explore {

struct Budget {
  /// A running thread that could go on is stopped, and another goes on. Switching when a thread
  /// sleeps or ends is free.
  std::uint8_t preemptions = 2;
  /// A load reads an older store.
  std::uint8_t stale = 0;
  /// A weak compare-and-swap fails for no reason. To g++'s builds only: clang++ does not tell the
  /// hooks which are weak.
  std::uint8_t weak = 0;
  /// A wait is over its time before it must be: while others could still run.
  std::uint8_t time_outs = 1;
  /// The clock jumps by a millisecond while it is read.
  std::uint8_t jumps = 1;
  /// A signal's handler runs, in any thread, whatever it is doing.
  std::uint8_t signals = 0;
  /// The kernel ends a sleep for no reason.
  std::uint8_t spurious = 0;
  /// The system starts no thread.
  std::uint8_t refusals = 0;

  /// No part is more than this.
  static constexpr int limit = 127;

  /// All parts in one number, a byte for each.
  std::uint64_t packed() const noexcept { return std::bit_cast<std::uint64_t>(*this); }
};

/// `more` has at least as much of every part as `less`; both packed.
constexpr bool covers(std::uint64_t more, std::uint64_t less) noexcept {
  // The high bit of each byte, which no part uses, goes where the part is too small.
  constexpr std::uint64_t high = 0x8080808080808080u;
  return (((more | high) - less) & high) == high;
}

}  // namespace explore
