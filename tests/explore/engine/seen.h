// Seen: the histories that have been explored from, so that none is explored from twice.
//
// A run is cut where it has the history of an earlier one (each thread did and read the same), the
// same thread runs, the same is left of the budget, and no more preemptions: whatever can come has
// come. Sound under a preemption bound, where reductions by independence are not.
#pragma once

#include <cstddef>
#include <cstdint>

namespace explore {

class Seen {
 public:
  Seen() { make(smallest); }
  ~Seen() { drop(); }
  Seen(const Seen&) = delete;
  Seen& operator=(const Seen&) = delete;

  /// True if `key` was seen with at least as many preemptions left; notes it otherwise.
  bool was_seen(std::uint64_t key, std::uint8_t preemptions_left);
  void forget();
  std::size_t size() const noexcept { return used_; }

 private:
  static constexpr std::size_t smallest = 1 << 12;

  // Mapped, not allocated: it grows in the middle of a run, whose allocator is the explored one.
  void make(std::size_t capacity);
  void drop() noexcept;
  std::size_t slot(std::uint64_t key) const noexcept;
  void grow();

  std::size_t capacity_ = 0;
  std::uint64_t* keys_ = nullptr;  // 0: empty
  std::uint8_t* preemptions_ = nullptr;
  std::size_t used_ = 0;
};

}  // namespace explore
