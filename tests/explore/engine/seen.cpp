#include "engine/seen.h"

#include <sys/mman.h>

#include "engine/address_space.h"

namespace explore {

void Seen::make(std::size_t capacity) {
  capacity_ = capacity;
  entries_ = static_cast<Entry*>(map_table(capacity * sizeof *entries_));
}

void Seen::drop() noexcept {
  munmap(entries_, capacity_ * sizeof *entries_);
}

std::size_t Seen::first_slot(std::uint64_t key) const noexcept {
  return static_cast<std::size_t>(key * 0x9E3779B97F4A7C15u >> 20) & (capacity_ - 1);
}

bool Seen::was_seen(std::uint64_t key, const Budget& budget) {
  if (key == 0) key = 1;
  const std::uint64_t left = budget.packed();
  std::size_t at = first_slot(key);
  for (; entries_[at].key != 0; at = (at + 1) & (capacity_ - 1)) {
    if (entries_[at].key != key) continue;
    if (covers(entries_[at].left, left)) return true;
    if (covers(left, entries_[at].left)) {
      entries_[at].left = left;
      return false;
    }
  }
  entries_[at] = {key, left};
  if (2 * ++used_ > capacity_) grow();
  return false;
}

void Seen::grow() {
  const std::size_t capacity = capacity_;
  Entry* const entries = entries_;
  make(capacity * 2);
  for (std::size_t i = 0; i < capacity; ++i) {
    if (entries[i].key == 0) continue;
    std::size_t at = first_slot(entries[i].key);
    while (entries_[at].key != 0) at = (at + 1) & (capacity_ - 1);
    entries_[at] = entries[i];
  }
  munmap(entries, capacity * sizeof *entries);
}

void Seen::forget() {
  drop();
  make(smallest);
  used_ = 0;
}

}  // namespace explore
