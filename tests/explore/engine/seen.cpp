#include "engine/seen.h"

#include <sys/mman.h>

#include "engine/address_space.h"

namespace explore {

void Seen::make(std::size_t capacity) {
  capacity_ = capacity;
  keys_ = static_cast<std::uint64_t*>(map_table(capacity * sizeof *keys_));
  preemptions_ = static_cast<std::uint8_t*>(map_table(capacity));
}

void Seen::drop() noexcept {
  munmap(keys_, capacity_ * sizeof *keys_);
  munmap(preemptions_, capacity_);
}

std::size_t Seen::slot(std::uint64_t key) const noexcept {
  const std::size_t mask = capacity_ - 1;
  std::size_t at = static_cast<std::size_t>(key * 0x9E3779B97F4A7C15u >> 20) & mask;
  while (keys_[at] != 0 && keys_[at] != key) at = (at + 1) & mask;
  return at;
}

bool Seen::was_seen(std::uint64_t key, std::uint8_t preemptions_left) {
  if (key == 0) key = 1;
  std::size_t at = slot(key);
  if (keys_[at] == key) {
    if (preemptions_[at] >= preemptions_left) return true;
  } else {
    if (2 * ++used_ > capacity_) {
      grow();
      at = slot(key);
    }
    keys_[at] = key;
  }
  preemptions_[at] = preemptions_left;
  return false;
}

void Seen::grow() {
  const std::size_t capacity = capacity_;
  const std::uint64_t* keys = keys_;
  const std::uint8_t* preemptions = preemptions_;
  make(capacity * 2);
  for (std::size_t i = 0; i < capacity; ++i) {
    if (keys[i] == 0) continue;
    const std::size_t at = slot(keys[i]);
    keys_[at] = keys[i];
    preemptions_[at] = preemptions[i];
  }
  munmap(const_cast<std::uint64_t*>(keys), capacity * sizeof *keys);
  munmap(const_cast<std::uint8_t*>(preemptions), capacity);
}

void Seen::forget() {
  drop();
  make(smallest);
  used_ = 0;
}

}  // namespace explore
