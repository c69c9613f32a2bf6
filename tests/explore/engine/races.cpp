#include "engine/races.h"

#include <algorithm>
#include <bit>

namespace explore {
namespace {

constexpr const char* race = "data race";
constexpr const char* gone = "touches freed memory";

}  // namespace

template <auto kind>
void Races::note_read(Set& readers, const Part& part, int thread, Epoch epoch) noexcept {
  auto& reads = part.granule.reads[thread].*kind;
  if (!(readers >> thread & 1)) {
    readers = static_cast<Set>(readers | 1 << thread);
    for (Epoch& read : reads) read = 0;
  }
  for (std::size_t at = part.begin; at < part.end; at += part.granule.unit) reads[at] = epoch;
}

template <auto kind>
bool Races::knows_reads(Set readers, const Part& part, const VectorClock& clock) noexcept {
  for (unsigned left = readers; left != 0; left &= left - 1) {
    const int thread = std::countr_zero(left);
    for (std::size_t at = part.begin; at < part.end; at += part.granule.unit)
      if (!clock.knows(thread, (part.granule.reads[thread].*kind)[at])) return false;
  }
  return true;
}

const char* Races::wrong_for_atomic(const Cell& cell, const VectorClock& clock) noexcept {
  if (cell.freed) return gone;
  return clock.knows(cell.plain_writer, cell.plain_written) ? nullptr : race;
}

const char* Races::wrong_for_plain(const Cell& cell, const VectorClock& clock) noexcept {
  if (const char* wrong = wrong_for_atomic(cell, clock)) return wrong;
  return clock.knows(cell.atomic_writer, cell.atomically_written) ? nullptr : race;
}

Races::Races(AddressSpace& space)
    : space_(space), table_(static_cast<Granule*>(map_table(space.granules() * sizeof(Granule)))) {}

void Races::begin(Granule& granule) const noexcept {
  granule.run = run_;
  granule.plain_readers = granule.atomic_readers = 0;
  for (std::uint16_t& number : granule.atomic) number = 0;
  granule.unit = AddressSpace::granule;
  granule.cells[0] = {};
}

void Races::split(const Part& part) noexcept {
  Granule& granule = part.granule;
  while (((part.begin | part.end) & (granule.unit - 1u)) != 0) {
    const std::size_t half = granule.unit / 2u;
    for (std::size_t at = 0; at < AddressSpace::granule; at += granule.unit) {
      granule.cells[at + half] = granule.cells[at];
      for (unsigned left = granule.plain_readers | granule.atomic_readers; left != 0;
           left &= left - 1) {
        Reads& reads = granule.reads[std::countr_zero(left)];
        reads.plain[at + half] = reads.plain[at];
        reads.atomic[at + half] = reads.atomic[at];
      }
    }
    granule.unit = static_cast<std::uint8_t>(half);
  }
}

template <class F>
const char* Races::each_part(std::uintptr_t address, std::size_t size, F look) noexcept {
  while (size > 0) {
    const std::ptrdiff_t index = space_.granule_of(address);
    if (index < 0) return nullptr;
    const std::size_t begin = address % AddressSpace::granule;
    const std::size_t count = std::min(size, AddressSpace::granule - begin);
    const Part part{of(static_cast<std::size_t>(index)), begin, begin + count};
    split(part);
    if (const char* wrong = look(part)) return wrong;
    address += count;
    size -= count;
  }
  return nullptr;
}

const char* Races::plain_read(std::uintptr_t address, std::size_t size, int thread,
                              const VectorClock& clock) noexcept {
  return each_part(address, size, [&](const Part& part) -> const char* {
    Granule& granule = part.granule;
    for (std::size_t at = part.begin; at < part.end; at += granule.unit)
      if (const char* wrong = wrong_for_plain(granule.cells[at], clock)) return wrong;
    note_read<&Reads::plain>(granule.plain_readers, part, thread, clock.of[thread]);
    return nullptr;
  });
}

const char* Races::plain_write(std::uintptr_t address, std::size_t size, int thread,
                               const VectorClock& clock) noexcept {
  return each_part(address, size, [&](const Part& part) -> const char* {
    Granule& granule = part.granule;
    for (std::size_t at = part.begin; at < part.end; at += granule.unit) {
      Cell& cell = granule.cells[at];
      if (const char* wrong = wrong_for_plain(cell, clock)) return wrong;
      cell.plain_writer = static_cast<std::uint8_t>(thread);
      cell.plain_written = clock.of[thread];
    }
    return knows_reads<&Reads::plain>(granule.plain_readers, part, clock) &&
                   knows_reads<&Reads::atomic>(granule.atomic_readers, part, clock)
               ? nullptr
               : race;
  });
}

const char* Races::atomic_read(std::uintptr_t address, std::size_t size, int thread,
                               const VectorClock& clock) noexcept {
  return each_part(address, size, [&](const Part& part) -> const char* {
    Granule& granule = part.granule;
    for (std::size_t at = part.begin; at < part.end; at += granule.unit)
      if (const char* wrong = wrong_for_atomic(granule.cells[at], clock)) return wrong;
    note_read<&Reads::atomic>(granule.atomic_readers, part, thread, clock.of[thread]);
    return nullptr;
  });
}

const char* Races::atomic_write(std::uintptr_t address, std::size_t size, int thread,
                                const VectorClock& clock) noexcept {
  return each_part(address, size, [&](const Part& part) -> const char* {
    Granule& granule = part.granule;
    for (std::size_t at = part.begin; at < part.end; at += granule.unit) {
      Cell& cell = granule.cells[at];
      if (const char* wrong = wrong_for_atomic(cell, clock)) return wrong;
      cell.atomic_writer = static_cast<std::uint8_t>(thread);
      cell.atomically_written = clock.of[thread];
    }
    if (!knows_reads<&Reads::plain>(granule.plain_readers, part, clock)) return race;
    // Whoever writes plainly later must know of every atomic access, not of the last write alone.
    note_read<&Reads::atomic>(granule.atomic_readers, part, thread, clock.of[thread]);
    return nullptr;
  });
}

const char* Races::freed(std::uintptr_t address, std::size_t size, int thread,
                         const VectorClock& clock) noexcept {
  if (const char* wrong = plain_write(address, size, thread, clock)) return wrong;
  return each_part(address, size, [](const Part& part) -> const char* {
    for (std::size_t at = part.begin; at < part.end; at += part.granule.unit)
      part.granule.cells[at].freed = true;
    return nullptr;
  });
}

}  // namespace explore
