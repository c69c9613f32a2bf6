// Choices: the way through the tree of all runs, depth first. Each run asks at each fork which
// branch to take; the tree is never stored, only the way to the current leaf.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace explore {

class Choices {
 public:
  Choices() { nodes_.reserve(limit); }

  /// Starts a run: the same way as before up to where `next_way` changed it, then always branch 0.
  void rewind() noexcept { depth_ = 0; }

  /// Which of `branches` to take here, from 0. The same questions must come in the same order in
  /// every run that gives the same answers.
  int pick(int branches);

  /// True while the answers are those of the run before: this place has been seen.
  bool replaying() const noexcept { return depth_ < nodes_.size(); }

  /// True if the run asked otherwise than the run before it did, which a deterministic one does
  /// not.
  bool diverged() const noexcept { return diverged_; }

  /// Turns to the next way. False: there is none, all have been taken.
  bool next_way() noexcept;
  /// Back to the first.
  void forget() noexcept;

  /// The way as text, "3:1 17:2": question 3 was answered with 1, 17 with 2, all others with 0.
  std::string seed() const;
  /// Goes the way of a seed from now on. False: that is no seed.
  bool follow(const std::string& seed);

 private:
  struct Node {
    std::uint16_t taken;
    std::uint16_t branches;  // 0: given by a seed, not known yet
  };
  // Nothing is allocated during a run: what is explored may use the same allocator.
  static constexpr std::size_t limit = 1 << 16;

  std::vector<Node> nodes_;
  std::size_t depth_ = 0;
  bool diverged_ = false;
};

}  // namespace explore
