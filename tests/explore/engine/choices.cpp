#include "engine/choices.h"

#include <cstdlib>
#include <sstream>

namespace explore {

int Choices::pick(int branches) {
  if (depth_ < nodes_.size()) {
    Node& node = nodes_[depth_++];
    const auto now = static_cast<std::uint16_t>(branches);
    if (node.branches == 0) node.branches = now;
    if (node.branches != now || node.taken >= now) {
      diverged_ = true;
      return 0;
    }
    return node.taken;
  }
  if (nodes_.size() == limit) std::abort();
  nodes_.push_back({0, static_cast<std::uint16_t>(branches)});
  ++depth_;
  return 0;
}

bool Choices::next_way() noexcept {
  // What lies behind the end of the run before was not asked: a run that ended early.
  while (nodes_.size() > depth_) nodes_.pop_back();
  while (!nodes_.empty() && nodes_.back().taken + 1 >= nodes_.back().branches) nodes_.pop_back();
  if (nodes_.empty()) return false;
  ++nodes_.back().taken;
  return true;
}

void Choices::forget() noexcept {
  nodes_.clear();
  depth_ = 0;
  diverged_ = false;
}

std::string Choices::seed() const {
  std::ostringstream text;
  for (std::size_t i = 0; i < nodes_.size() && i < depth_; ++i)
    if (nodes_[i].taken != 0) text << (text.tellp() > 0 ? " " : "") << i << ':' << nodes_[i].taken;
  return text.str();
}

bool Choices::follow(const std::string& seed) {
  forget();
  std::istringstream text(seed);
  std::size_t at = 0;
  int taken = 0;
  char colon = 0;
  while (text >> at >> colon >> taken) {
    if (colon != ':' || taken < 0 || at < nodes_.size() || at >= limit) return false;
    while (nodes_.size() < at) nodes_.push_back({0, 0});
    nodes_.push_back({static_cast<std::uint16_t>(taken), 0});
  }
  return text.eof();
}

}  // namespace explore
