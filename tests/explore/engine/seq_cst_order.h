// SeqCstOrder: is there a single total order of all sequentially consistent operations, as C++20's
// [atomics.order] p4 demands? Kept as a graph of what must come before what; a read that would
// close a circle is not allowed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/vector_clock.h"

namespace explore {

class SeqCstOrder {
 public:
  static constexpr int limit = 512;

  SeqCstOrder();

  void begin_run() noexcept { count_ = ordered_ = node_count_ = fence_count_ = 0; }

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
  // The graph's nodes are the events that are sequentially consistent, numbered for themselves.
  static constexpr int bits = 64;
  struct Set {
    std::array<std::uint64_t, limit / bits> of;
  };

  const Event& at(int number) const noexcept { return events_[number]; }
  static bool happens_before(const Event& first, const Event& second) noexcept {
    return second.after.knows(first.thread, first.epoch);
  }
  // Most runs ask nothing once their stale reads are spent: events wait here until one does.
  void catch_up() noexcept;
  // The event that comes next in the graph, and what it must come before and after.
  void enter(int number) noexcept;
  void edges(int number) noexcept;
  void around(int first, int second) noexcept;
  void edge(int before, int after) noexcept;
  int words() const noexcept { return node_count_ / bits + 1; }
  bool has_circle() const noexcept;

  Event* events_;
  std::array<std::int16_t, limit> node_of_;  // by event; -1: it is none
  std::array<std::int16_t, limit> nodes_;    // by node, its event
  std::array<std::int16_t, limit> fences_;   // sequentially consistent ones: events
  Set* after_;                               // by node
  Set* saved_;
  int count_ = 0;
  int ordered_ = 0;  // so many are in the graph
  int node_count_ = 0;
  int fence_count_ = 0;
  bool grew_ = false;  // an edge has come
};

}  // namespace explore
