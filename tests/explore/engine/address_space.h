// AddressSpace: all memory that explored code may share, at the same addresses in every run.
//
//   globals   the program's own static data
//   heap      what explored code allocates; a part for each thread, given out from the front and
//             never used twice in a run, so that addresses repeat and what was freed can be told
//   stacks    one for each thread, and one for the director, who sets a row up and looks at its end
//
// Each run starts from the same contents: what a run writes over is saved, and put back after it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/vector_clock.h"

namespace explore {

/// The place in arrays by thread of whoever prepares a run and looks at its end.
inline constexpr int director = max_threads;

class AddressSpace {
 public:
  static constexpr std::size_t stack_size = std::size_t{256} << 10;
  static constexpr std::size_t heap_part = std::size_t{1} << 20;
  /// Granules of 8 bytes, by which others keep what they know of memory.
  static constexpr std::size_t granule = 8;

  AddressSpace();

  /// The number of granules, and the one of an address; -1: explored code does not share that.
  std::size_t granules() const noexcept { return granules_; }
  std::ptrdiff_t granule_of(std::uintptr_t address) const noexcept {
    if (address - globals_ < globals_size_)
      return static_cast<std::ptrdiff_t>((address - globals_) / granule);
    if (address - fixed < fixed_size)
      return static_cast<std::ptrdiff_t>((globals_size_ + address - fixed) / granule);
    return -1;
  }
  std::uintptr_t address_of(std::size_t index) const noexcept {
    const std::size_t offset = index * granule;
    return offset < globals_size_ ? globals_ + offset : fixed + offset - globals_size_;
  }
  bool is_global(std::uintptr_t address) const noexcept {
    return address - globals_ < globals_size_;
  }
  /// From `allocate_for_ever`: the part is aligned to its size.
  bool is_for_ever(std::uintptr_t address) const noexcept {
    return address - part(parts - 1) < heap_part;
  }
  bool is_heap(std::uintptr_t address) const noexcept { return address - fixed < heap_size; }

  void* stack(int thread) const noexcept {
    return reinterpret_cast<void*>(fixed + heap_size +
                                   static_cast<std::size_t>(thread) * stack_size);
  }
  /// Whose stack an address is on; -1: nobody's.
  int stack_of(std::uintptr_t address) const noexcept {
    const std::uintptr_t offset = address - fixed - heap_size;
    return offset < stacks_size ? static_cast<int>(offset / stack_size) : -1;
  }

  /// Memory for `thread`, aligned to 64 bytes, filled with a pattern. Null: its part is used up.
  void* allocate(int thread, std::size_t bytes) noexcept;
  /// Zeroed memory that is there in every run from now on.
  void* allocate_for_ever(std::size_t bytes) noexcept;

  /// Before explored code writes there: saves what the run finds, once.
  void save(std::size_t index) noexcept;
  /// Puts everything back as `begin_run` found it.
  void begin_run() noexcept;
  void end_run() noexcept;
  /// Calls `changed(address)` for each byte of the globals that differs from when the run began.
  template <class F>
  void for_each_changed_global(F changed) const {
    for (std::size_t i = 0; i < saved_count_; ++i) {
      if (!is_global(saved_[i].address)) continue;
      const auto* now = reinterpret_cast<const unsigned char*>(saved_[i].address);
      const auto* before = reinterpret_cast<const unsigned char*>(&saved_[i].value);
      for (std::size_t at = 0; at < granule; ++at)
        if (now[at] != before[at]) changed(saved_[i].address + at);
    }
  }

 private:
  struct Saved {
    std::uintptr_t address;
    std::uint64_t value;
  };
  static constexpr std::size_t saved_limit = 1 << 16;

  static constexpr int parts = max_threads + 2;  // the director's, and what is there for ever
  static constexpr std::uintptr_t fixed = std::uintptr_t{0x20} << 40;
  static constexpr std::size_t heap_size = parts * heap_part;
  static constexpr std::size_t stacks_size = (max_threads + 1) * stack_size;
  static constexpr std::size_t fixed_size = heap_size + stacks_size;

  std::uintptr_t part(int number) const noexcept {
    return fixed + static_cast<std::size_t>(number) * heap_part;
  }

  std::uintptr_t globals_;
  std::size_t globals_size_;
  std::size_t granules_;
  std::size_t used_[parts]{};
  std::uint32_t run_ = 1;
  std::uint32_t* saved_in_;  // by granule: the run in which it was saved
  Saved* saved_;
  std::size_t saved_count_ = 0;
};

/// Zeroed memory for the engine's own tables, outside of what explored code can reach.
void* map_table(std::size_t bytes);

}  // namespace explore
