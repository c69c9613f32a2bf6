// Vector clocks: what each thread knows of what the others have done.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace explore {

/// Threads in one run, those that a row's threads start included.
inline constexpr int max_threads = 16;

/// How far a thread has come; it takes one step at each atomic operation. 0: before it began.
using Epoch = std::uint16_t;

struct VectorClock {
  Epoch of[max_threads]{};

  void join(const VectorClock& other) noexcept {
    for (int i = 0; i < max_threads; ++i) of[i] = std::max(of[i], other.of[i]);
  }
  /// What `thread` did at `epoch` happened before whoever has this clock.
  bool knows(int thread, Epoch epoch) const noexcept { return epoch <= of[thread]; }
};

/// Mixes `value` into a hash, so that the order of mixing counts.
inline std::uint64_t mix(std::uint64_t hash, std::uint64_t value) noexcept {
  hash ^= value + 0x9E3779B97F4A7C15u + (hash << 12) + (hash >> 4);
  hash *= 0xD6E8FEB86659FD93u;
  return hash ^ (hash >> 32);
}

}  // namespace explore
