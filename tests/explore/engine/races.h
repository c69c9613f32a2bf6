// Races: which plain accesses conflict with which others without an order between them, and which
// touch memory that is gone. Exact to the byte, by vector clocks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/address_space.h"

namespace explore {

class Races {
 public:
  explicit Races(AddressSpace& space);

  void begin_run() noexcept { ++run_; }

  /// Notes an access of `thread`, whose clock is `clock`. @return what is wrong with it, or null
  const char* plain_read(std::uintptr_t address, std::size_t size, int thread,
                         const VectorClock& clock) noexcept;
  const char* plain_write(std::uintptr_t address, std::size_t size, int thread,
                          const VectorClock& clock) noexcept;
  const char* atomic_read(std::uintptr_t address, std::size_t size, int thread,
                          const VectorClock& clock) noexcept;
  const char* atomic_write(std::uintptr_t address, std::size_t size, int thread,
                           const VectorClock& clock) noexcept;
  /// As a write, after which nobody may touch it.
  const char* freed(std::uintptr_t address, std::size_t size, int thread,
                    const VectorClock& clock) noexcept;

  /// A number that whoever keeps atomics has given to an address in this run; 0: none yet.
  std::uint16_t& atomic_at(std::size_t granule, std::uintptr_t address) noexcept {
    return of(granule).atomic[address % AddressSpace::granule];
  }

 private:
  using Set = std::uint16_t;  // of threads
  static_assert(max_threads <= 16);

  // Of a stretch of bytes that have always been accessed together in this run.
  struct Cell {
    Epoch plain_written, atomically_written;
    std::uint8_t plain_writer, atomic_writer;
    bool freed;
  };
  // When a thread last read each cell; 0: not since the run began.
  struct Reads {
    Epoch plain[AddressSpace::granule];
    Epoch atomic[AddressSpace::granule];
  };
  // Cells and reads stand at the place of their first byte; what lies between means nothing.
  struct Granule {
    std::uint32_t run;
    Set plain_readers, atomic_readers;  // whose reads below are of this run
    std::uint16_t atomic[AddressSpace::granule];
    std::uint8_t unit;  // bytes in a cell: 8, 4, 2 or 1
    Cell cells[AddressSpace::granule];
    Reads reads[max_threads];
  };
  // Some of a granule's cells.
  struct Part {
    Granule& granule;
    std::size_t begin, end;
  };

  Granule& of(std::size_t index) noexcept {
    Granule& granule = table_[index];
    if (granule.run != run_) begin(granule);
    return granule;
  }
  void begin(Granule& granule) const noexcept;
  // Makes cells so small that none is in the part only partly.
  static void split(const Part& part) noexcept;
  // What is wrong when someone touches a cell who knows what `clock` knows; null: nothing.
  static const char* wrong_for_atomic(const Cell& cell, const VectorClock& clock) noexcept;
  static const char* wrong_for_plain(const Cell& cell, const VectorClock& clock) noexcept;
  // `kind` is a member of Reads, and `readers` the granule's set for it.
  template <auto kind>
  static void note_read(Set& readers, const Part& part, int thread, Epoch epoch) noexcept;
  template <auto kind>
  static bool knows_reads(Set readers, const Part& part, const VectorClock& clock) noexcept;
  template <class F>
  const char* each_part(std::uintptr_t address, std::size_t size, F look) noexcept;

  AddressSpace& space_;
  Granule* table_;
  std::uint32_t run_ = 0;
};

}  // namespace explore
