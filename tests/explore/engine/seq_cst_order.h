// SeqCstOrder: is there a single total order of all sequentially consistent operations, as C++20's
// [atomics.order] p4 demands? Kept as a graph of what must come before what; a read that would
// close a circle is not allowed.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>

#include "engine/vector_clock.h"

namespace explore {

class SeqCstOrder {
 public:
  static constexpr int limit = 512;

  void begin_run() noexcept { count_ = 0; }

  /// An atomic operation or a fence, as it is about to take effect.
  struct Event {
    int thread;
    Epoch epoch;
    VectorClock before;  ///< what its thread knew before it, its own earlier steps included
    VectorClock after;   ///< and what it knows with it: more, if it acquires
    bool seq_cst;
    bool fence;
    int location;  ///< -1 for a fence
    /// Where it stands in the location's order: a store at 2n, a read of that store at 2n + 1.
    int position;
    int reads_from;  ///< the event whose store it reads, -1: none, or one from before the run
  };

  /// May this happen now?
  bool allows(const Event& event) noexcept;
  /// It has happened. @return its number
  int add(const Event& event) noexcept;

 private:
  using Set = std::bitset<limit>;

  bool happens_before(const Event& first, const Event& second) const noexcept {
    return second.after.knows(first.thread, first.epoch);
  }
  void edges(const Event& event, int number) noexcept;
  void edge(int before, int after) noexcept {
    after_[static_cast<std::size_t>(before)].set(static_cast<std::size_t>(after));
  }
  void around(const Event& first, int first_number, const Event& second,
              int second_number) noexcept;
  bool has_circle(int through) const noexcept;

  std::array<Event, limit> events_;
  std::array<Set, limit> after_;
  int count_ = 0;
};

}  // namespace explore
