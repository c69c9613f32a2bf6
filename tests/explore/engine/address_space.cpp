#include "engine/address_space.h"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>

// The linker's: where the program's own writable data begins and ends.
extern "C" char __data_start;
extern "C" char _end;

namespace explore {
namespace {

void* map(void* where, std::size_t bytes) {
  const int fixed = where ? MAP_FIXED_NOREPLACE : 0;
  void* memory = mmap(where, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | fixed, -1, 0);
  if (memory == MAP_FAILED || (where && memory != where)) {
    std::perror("explore: no memory where it is wanted");
    std::exit(2);
  }
  return memory;
}

}  // namespace

void* map_table(std::size_t bytes) {
  return map(nullptr, bytes);
}

AddressSpace::AddressSpace() {
  globals_ = reinterpret_cast<std::uintptr_t>(&__data_start) / granule * granule;
  globals_size_ =
      (reinterpret_cast<std::uintptr_t>(&_end) - globals_ + granule - 1) / granule * granule;
  map(reinterpret_cast<void*>(fixed), fixed_size);
  granules_ = (globals_size_ + fixed_size) / granule;
  saved_in_ = static_cast<std::uint32_t*>(map_table(granules_ * sizeof *saved_in_));
  saved_ = static_cast<Saved*>(map_table(saved_limit * sizeof *saved_));
}

void* AddressSpace::allocate(int thread, std::size_t bytes) noexcept {
  const std::size_t size = (bytes + 63) / 64 * 64;
  if (used_[thread] + size > heap_part) return nullptr;
  void* memory = reinterpret_cast<void*>(part(thread) + used_[thread]);
  used_[thread] += size;
  std::memset(memory, 0xA5, size);
  return memory;
}

void* AddressSpace::allocate_for_ever(std::size_t bytes) noexcept {
  void* memory = allocate(parts - 1, bytes);
  if (memory) std::memset(memory, 0, bytes);
  return memory;
}

void AddressSpace::save(std::size_t index) noexcept {
  if (saved_in_[index] == run_) return;
  saved_in_[index] = run_;
  if (saved_count_ == saved_limit) std::abort();
  const std::uintptr_t address = address_of(index);
  saved_[saved_count_++] = {address, *reinterpret_cast<const std::uint64_t*>(address)};
}

void AddressSpace::begin_run() noexcept {
  ++run_;
  saved_count_ = 0;
  for (int thread = 0; thread < parts - 1; ++thread) used_[thread] = 0;
}

void AddressSpace::end_run() noexcept {
  for (std::size_t i = 0; i < saved_count_; ++i)
    *reinterpret_cast<std::uint64_t*>(saved_[i].address) = saved_[i].value;
  saved_count_ = 0;
}

}  // namespace explore
