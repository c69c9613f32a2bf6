// Seen: the histories that have been explored from, so that none is explored from twice.
//
// A run is cut where it has the history of an earlier one (each thread did and read the same), the
// same thread runs, and no more is left of any part of the budget: whatever can come has come.
// Sound under a bound on preemptions, where reductions by independence are not.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/budget.h"

namespace explore {

class Seen {
 public:
  Seen() { make(smallest); }
  ~Seen() { drop(); }
  Seen(const Seen&) = delete;
  Seen& operator=(const Seen&) = delete;

  /// True if `key` was seen with at least as much of everything left; notes it otherwise.
  bool was_seen(std::uint64_t key, const Budget& left);
  void forget();
  std::size_t size() const noexcept { return used_; }

 private:
  // A key has several entries where none of their budgets covers another.
  struct Entry {
    std::uint64_t key;  // 0: empty
    std::uint64_t left;
  };
  static constexpr std::size_t smallest = 1 << 12;

  // Mapped, not allocated: it grows in the middle of a run, whose allocator is the explored one.
  void make(std::size_t capacity);
  void drop() noexcept;
  std::size_t first_slot(std::uint64_t key) const noexcept;
  void grow();

  std::size_t capacity_ = 0;
  Entry* entries_ = nullptr;
  std::size_t used_ = 0;
};

}  // namespace explore
