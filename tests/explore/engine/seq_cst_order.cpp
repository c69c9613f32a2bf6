#include "engine/seq_cst_order.h"

#include <cstdlib>

#include "engine/address_space.h"

namespace explore {

SeqCstOrder::SeqCstOrder()
    : events_(static_cast<Event*>(map_table(sizeof(Event) * limit))),
      after_(static_cast<Set*>(map_table(sizeof(Set) * limit))),
      saved_(static_cast<Set*>(map_table(sizeof(Set) * limit))) {}

void SeqCstOrder::edge(int before, int after) noexcept {
  const int from = node_of_[before];
  const int to = node_of_[after];
  after_[from].of[to / bits] |= std::uint64_t{1} << to % bits;
  grew_ = true;
}

// `first` is coherence-ordered before `second`. Then, of sequentially consistent operations: they
// themselves are so ordered, and so are fences outside of them: [atomics.order] 4.1 to 4.4.
void SeqCstOrder::around(int first, int second) noexcept {
  const auto from = [&](int before) {
    if (at(second).seq_cst) edge(before, second);
    for (int i = 0; i < fence_count_; ++i)
      if (happens_before(at(second), at(fences_[i]))) edge(before, fences_[i]);
  };
  if (at(first).seq_cst) from(first);
  for (int i = 0; i < fence_count_; ++i)
    if (happens_before(at(fences_[i]), at(first))) from(fences_[i]);
}

void SeqCstOrder::edges(int number) noexcept {
  const Event& event = at(number);
  if (event.seq_cst) {
    // Strongly happens before, p4: sequenced before; or through a synchronization with something
    // sequenced before and after it; or a synchronization of two seq_cst operations.
    for (int node = 0; node < node_count_; ++node) {
      const int i = nodes_[node];
      if (i == number) continue;
      const Event& other = at(i);
      const bool sequenced = other.thread == event.thread;
      const bool through = event.before.of[other.thread] > other.epoch;
      const bool direct = event.reads_from == i && event.after.knows(other.thread, other.epoch);
      if (sequenced || through || direct) edge(i, number);
    }
  }
  if (!event.fence) {
    const auto beside = [&](int i) {
      if (at(i).location != event.location) return;
      if (at(i).position < event.position) around(i, number);
      if (event.position < at(i).position) around(number, i);
    };
    // Without a fence, only what is sequentially consistent itself has a place in the graph.
    if (fence_count_ > 0) {
      for (int i = 0; i < number; ++i) beside(i);
    } else if (event.seq_cst) {
      for (int node = 0; node < node_count_; ++node)
        if (nodes_[node] != number) beside(nodes_[node]);
    }
    return;
  }
  // What happened before this fence, and what is coherence-ordered before that.
  for (int j = 0; j < number; ++j) {
    const Event& first = at(j);
    if (first.location < 0) continue;
    bool is_before = false;
    for (int i = 0; i < number && !is_before; ++i)
      is_before = at(i).location == first.location && first.position < at(i).position &&
                  happens_before(at(i), event);
    if (!is_before) continue;
    if (first.seq_cst) edge(j, number);
    for (int i = 0; i < fence_count_; ++i)
      if (fences_[i] != number && happens_before(at(fences_[i]), first)) edge(fences_[i], number);
  }
}

void SeqCstOrder::enter(int number) noexcept {
  node_of_[number] = -1;
  if (at(number).seq_cst) {
    after_[node_count_] = {};
    node_of_[number] = static_cast<std::int16_t>(node_count_);
    nodes_[node_count_++] = static_cast<std::int16_t>(number);
  }
  edges(number);
}

void SeqCstOrder::catch_up() noexcept {
  for (; ordered_ < count_; ++ordered_) {
    enter(ordered_);
    // Once its own edges are there: those are of the fences before it.
    const Event& event = at(ordered_);
    if (event.fence && event.seq_cst) fences_[fence_count_++] = static_cast<std::int16_t>(ordered_);
  }
}

bool SeqCstOrder::has_circle() const noexcept {
  // Takes away what comes before nothing that is left, until nothing is. Most edges lead to what
  // came later, so the last go first.
  std::array<std::uint64_t, limit / bits> left{};
  for (int node = 0; node < node_count_; ++node)
    left[node / bits] |= std::uint64_t{1} << node % bits;
  int count = node_count_;
  for (bool took = true; took && count > 0;) {
    took = false;
    for (int node = node_count_ - 1; node >= 0; --node) {
      const std::uint64_t bit = std::uint64_t{1} << node % bits;
      if (!(left[node / bits] & bit)) continue;
      bool is_last = true;
      for (int word = 0; word < words() && is_last; ++word)
        is_last = !(after_[node].of[word] & left[word]);
      if (!is_last) continue;
      left[node / bits] &= ~bit;
      --count;
      took = true;
    }
  }
  return count > 0;
}

bool SeqCstOrder::allows(const Event& event) noexcept {
  if (count_ + 1 >= limit) std::abort();
  catch_up();
  // There has been no circle so far.
  if (!event.seq_cst && fence_count_ == 0) return true;
  const int nodes = node_count_;
  for (int node = 0; node < nodes; ++node) saved_[node] = after_[node];
  events_[count_] = event;
  grew_ = false;
  enter(count_);
  const bool circle = grew_ && has_circle();
  node_count_ = nodes;
  for (int node = 0; node < nodes; ++node) after_[node] = saved_[node];
  return !circle;
}

int SeqCstOrder::add(const Event& event) noexcept {
  if (count_ + 1 >= limit) std::abort();
  events_[count_] = event;
  return count_++;
}

}  // namespace explore
