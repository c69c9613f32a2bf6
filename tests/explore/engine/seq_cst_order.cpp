#include "engine/seq_cst_order.h"

#include <cstdlib>

namespace explore {

// `first` is coherence-ordered before `second`. Then, of sequentially consistent operations: they
// themselves are so ordered, and so are fences outside of them: [atomics.order] 4.1 to 4.4.
void SeqCstOrder::around(const Event& first, int first_number, const Event& second,
                         int second_number) noexcept {
  Set befores;
  Set afters;
  if (first.seq_cst) befores.set(static_cast<std::size_t>(first_number));
  if (second.seq_cst) afters.set(static_cast<std::size_t>(second_number));
  for (int i = 0; i < count_; ++i) {
    const Event& fence = events_[static_cast<std::size_t>(i)];
    if (!fence.fence || !fence.seq_cst) continue;
    if (happens_before(fence, first)) befores.set(static_cast<std::size_t>(i));
    if (i != second_number && happens_before(second, fence))
      afters.set(static_cast<std::size_t>(i));
  }
  for (int i = 0; i <= count_; ++i)
    if (befores.test(static_cast<std::size_t>(i))) after_[static_cast<std::size_t>(i)] |= afters;
}

void SeqCstOrder::edges(const Event& event, int number) noexcept {
  for (int i = 0; i < number; ++i) {
    const Event& other = events_[static_cast<std::size_t>(i)];

    // Strongly happens before, p4: sequenced before; or through a synchronization with something
    // sequenced before and after it; or a synchronization of two seq_cst operations.
    if (other.seq_cst && event.seq_cst) {
      const bool sequenced = other.thread == event.thread;
      const bool through = event.before.of[other.thread] > other.epoch;
      const bool direct = event.reads_from == i && event.after.knows(other.thread, other.epoch);
      if (sequenced || through || direct) edge(i, number);
    }
    if (event.location >= 0 && other.location == event.location) {
      if (other.position < event.position) around(other, i, event, number);
      if (event.position < other.position) around(event, number, other, i);
    }
  }
  if (!event.fence || !event.seq_cst) return;
  // What happened before this fence, and what is coherence-ordered before that.
  for (int i = 0; i < number; ++i) {
    const Event& second = events_[static_cast<std::size_t>(i)];
    if (second.location < 0 || !happens_before(second, event)) continue;
    for (int j = 0; j < number; ++j) {
      const Event& first = events_[static_cast<std::size_t>(j)];
      if (first.location != second.location || first.position >= second.position) continue;
      if (first.seq_cst) edge(j, number);
      for (int k = 0; k < number; ++k) {
        const Event& fence = events_[static_cast<std::size_t>(k)];
        if (fence.fence && fence.seq_cst && happens_before(fence, first)) edge(k, number);
      }
    }
  }
}

bool SeqCstOrder::has_circle(int through) const noexcept {
  Set reached = after_[static_cast<std::size_t>(through)];
  for (bool grew = true; grew;) {
    grew = false;
    for (int i = 0; i <= count_; ++i) {
      if (!reached.test(static_cast<std::size_t>(i))) continue;
      const Set more = reached | after_[static_cast<std::size_t>(i)];
      if (more != reached) {
        reached = more;
        grew = true;
      }
    }
  }
  return reached.test(static_cast<std::size_t>(through));
}

bool SeqCstOrder::allows(const Event& event) noexcept {
  if (count_ + 1 >= limit) std::abort();
  const auto saved = after_;
  events_[static_cast<std::size_t>(count_)] = event;
  after_[static_cast<std::size_t>(count_)].reset();
  edges(event, count_);
  bool circle = false;
  // A new edge may lie between two older ones, where fences stand around a plain access.
  for (int i = 0; i <= count_ && !circle; ++i) circle = has_circle(i);
  after_ = saved;
  return !circle;
}

int SeqCstOrder::add(const Event& event) noexcept {
  if (count_ + 1 >= limit) std::abort();
  events_[static_cast<std::size_t>(count_)] = event;
  after_[static_cast<std::size_t>(count_)].reset();
  edges(event, count_);
  return count_++;
}

}  // namespace explore
