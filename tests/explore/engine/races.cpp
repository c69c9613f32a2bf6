#include "engine/races.h"

#include <algorithm>
#include <bit>

namespace explore {
namespace {

constexpr const char* race = "data race";
constexpr const char* gone = "touches freed memory";

template <class Set, class Reads>
void note_read(Set& readers, Reads& reads, int thread, std::size_t begin, std::size_t end,
               Epoch epoch) noexcept {
  if (!(readers >> thread & 1)) {
    readers = static_cast<Set>(readers | 1 << thread);
    std::fill(reads[thread], reads[thread] + AddressSpace::granule, Epoch{0});
  }
  std::fill(reads[thread] + begin, reads[thread] + end, epoch);
}

template <class Set, class Reads>
bool knows_reads(Set readers, const Reads& reads, std::size_t begin, std::size_t end,
                 const VectorClock& clock) noexcept {
  for (unsigned left = readers; left != 0; left &= left - 1) {
    const int thread = std::countr_zero(left);
    for (std::size_t at = begin; at < end; ++at)
      if (!clock.knows(thread, reads[thread][at])) return false;
  }
  return true;
}

}  // namespace

const char* Races::wrong_for_atomic(const Byte& byte, const VectorClock& clock) noexcept {
  if (byte.freed) return gone;
  return clock.knows(byte.plain_writer, byte.plain_written) ? nullptr : race;
}

const char* Races::wrong_for_plain(const Byte& byte, const VectorClock& clock) noexcept {
  if (const char* wrong = wrong_for_atomic(byte, clock)) return wrong;
  return clock.knows(byte.atomic_writer, byte.atomically_written) ? nullptr : race;
}

Races::Races(AddressSpace& space)
    : space_(space), table_(static_cast<Granule*>(map_table(space.granules() * sizeof(Granule)))) {}

template <class F>
const char* Races::each_granule(std::uintptr_t address, std::size_t size, F look) noexcept {
  while (size > 0) {
    const std::ptrdiff_t index = space_.granule_of(address);
    if (index < 0) return nullptr;
    const std::size_t begin = address % AddressSpace::granule;
    const std::size_t count = std::min(size, AddressSpace::granule - begin);
    if (const char* wrong = look(of(static_cast<std::size_t>(index)), begin, begin + count))
      return wrong;
    address += count;
    size -= count;
  }
  return nullptr;
}

const char* Races::plain_read(std::uintptr_t address, std::size_t size, int thread,
                              const VectorClock& clock) noexcept {
  return each_granule(
      address, size, [&](Granule& granule, std::size_t begin, std::size_t end) -> const char* {
        for (std::size_t at = begin; at < end; ++at) {
          const Byte& byte = granule.bytes[at];
          if (const char* wrong = wrong_for_plain(byte, clock)) return wrong;
        }
        note_read(granule.plain_readers, granule.plain_read, thread, begin, end, clock.of[thread]);
        return nullptr;
      });
}

const char* Races::plain_write(std::uintptr_t address, std::size_t size, int thread,
                               const VectorClock& clock) noexcept {
  return each_granule(
      address, size, [&](Granule& granule, std::size_t begin, std::size_t end) -> const char* {
        for (std::size_t at = begin; at < end; ++at) {
          Byte& byte = granule.bytes[at];
          if (const char* wrong = wrong_for_plain(byte, clock)) return wrong;
          byte.plain_writer = static_cast<std::uint8_t>(thread);
          byte.plain_written = clock.of[thread];
        }
        return knows_reads(granule.plain_readers, granule.plain_read, begin, end, clock) &&
                       knows_reads(granule.atomic_readers, granule.atomically_read, begin, end,
                                   clock)
                   ? nullptr
                   : race;
      });
}

const char* Races::atomic_read(std::uintptr_t address, std::size_t size, int thread,
                               const VectorClock& clock) noexcept {
  return each_granule(address, size,
                      [&](Granule& granule, std::size_t begin, std::size_t end) -> const char* {
                        for (std::size_t at = begin; at < end; ++at) {
                          const Byte& byte = granule.bytes[at];
                          if (const char* wrong = wrong_for_atomic(byte, clock)) return wrong;
                        }
                        note_read(granule.atomic_readers, granule.atomically_read, thread, begin,
                                  end, clock.of[thread]);
                        return nullptr;
                      });
}

const char* Races::atomic_write(std::uintptr_t address, std::size_t size, int thread,
                                const VectorClock& clock) noexcept {
  return each_granule(
      address, size, [&](Granule& granule, std::size_t begin, std::size_t end) -> const char* {
        for (std::size_t at = begin; at < end; ++at) {
          Byte& byte = granule.bytes[at];
          if (const char* wrong = wrong_for_atomic(byte, clock)) return wrong;
          byte.atomic_writer = static_cast<std::uint8_t>(thread);
          byte.atomically_written = clock.of[thread];
        }
        if (!knows_reads(granule.plain_readers, granule.plain_read, begin, end, clock)) return race;
        // Whoever writes plainly later must know of every atomic access, not of the last write
        // alone.
        note_read(granule.atomic_readers, granule.atomically_read, thread, begin, end,
                  clock.of[thread]);
        return nullptr;
      });
}

const char* Races::freed(std::uintptr_t address, std::size_t size, int thread,
                         const VectorClock& clock) noexcept {
  if (const char* wrong = plain_write(address, size, thread, clock)) return wrong;
  return each_granule(address, size,
                      [](Granule& granule, std::size_t begin, std::size_t end) -> const char* {
                        for (std::size_t at = begin; at < end; ++at) granule.bytes[at].freed = true;
                        return nullptr;
                      });
}

}  // namespace explore
