// Races: which plain accesses conflict with which others without an order between them, and which
// touch memory that is gone. Byte by byte, by vector clocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

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

  struct Byte {
    Epoch plain_written, atomically_written;
    std::uint8_t plain_writer, atomic_writer;
    bool freed;
  };
  // Of each thread, when it last read each byte; 0: not since the run began.
  using Reads = Epoch[max_threads][AddressSpace::granule];
  struct Granule {
    std::uint32_t run;
    Set plain_readers, atomic_readers;  // whose rows below are of this run
    Byte bytes[AddressSpace::granule];
    std::uint16_t atomic[AddressSpace::granule];
    Reads plain_read, atomically_read;
  };

  Granule& of(std::size_t index) noexcept {
    Granule& granule = table_[index];
    if (granule.run != run_) {
      std::memset(&granule, 0, offsetof(Granule, plain_read));
      granule.run = run_;
    }
    return granule;
  }
  // What is wrong when someone touches a byte who knows what `clock` knows; null: nothing.
  static const char* wrong_for_atomic(const Byte& byte, const VectorClock& clock) noexcept;
  static const char* wrong_for_plain(const Byte& byte, const VectorClock& clock) noexcept;
  template <class F>
  const char* each_granule(std::uintptr_t address, std::size_t size, F look) noexcept;

  AddressSpace& space_;
  Granule* table_;
  std::uint32_t run_ = 0;
};

}  // namespace explore
