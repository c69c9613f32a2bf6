#include "engine/races.h"

namespace explore {
namespace {

constexpr const char* race = "data race";
constexpr const char* gone = "touches freed memory";

bool all_known(const Epoch (&epochs)[max_threads], const VectorClock& clock) noexcept {
  for (int i = 0; i < max_threads; ++i)
    if (!clock.knows(i, epochs[i])) return false;
  return true;
}

}  // namespace

Races::Races(AddressSpace& space)
    : space_(space), table_(static_cast<Granule*>(map_table(space.granules() * sizeof(Granule)))) {}

template <class F>
const char* Races::each_byte(std::uintptr_t address, std::size_t size, F look) noexcept {
  while (size > 0) {
    const std::ptrdiff_t index = space_.granule_of(address);
    if (index < 0) return nullptr;
    Granule& granule = of(static_cast<std::size_t>(index));
    for (std::size_t at = address % AddressSpace::granule; at < AddressSpace::granule && size > 0;
         ++at, ++address, --size)
      if (const char* wrong = look(granule, at)) return wrong;
  }
  return nullptr;
}

const char* Races::plain_read(std::uintptr_t address, std::size_t size, int thread,
                              const VectorClock& clock) noexcept {
  return each_byte(address, size, [&](Granule& granule, std::size_t at) -> const char* {
    Byte& byte = granule.bytes[at];
    if (byte.freed) return gone;
    if (!clock.knows(byte.plain_writer, byte.plain_written) ||
        !clock.knows(byte.atomic_writer, byte.atomically_written))
      return race;
    byte.read = true;
    granule.plain_read[at][thread] = clock.of[thread];
    return nullptr;
  });
}

const char* Races::plain_write(std::uintptr_t address, std::size_t size, int thread,
                               const VectorClock& clock) noexcept {
  return each_byte(address, size, [&](Granule& granule, std::size_t at) -> const char* {
    Byte& byte = granule.bytes[at];
    if (byte.freed) return gone;
    if (!clock.knows(byte.plain_writer, byte.plain_written) ||
        !clock.knows(byte.atomic_writer, byte.atomically_written))
      return race;
    if (byte.read && (!all_known(granule.plain_read[at], clock) ||
                      !all_known(granule.atomically_read[at], clock)))
      return race;
    byte.plain_writer = static_cast<std::uint8_t>(thread);
    byte.plain_written = clock.of[thread];
    return nullptr;
  });
}

const char* Races::atomic_read(std::uintptr_t address, std::size_t size, int thread,
                               const VectorClock& clock) noexcept {
  return each_byte(address, size, [&](Granule& granule, std::size_t at) -> const char* {
    Byte& byte = granule.bytes[at];
    if (byte.freed) return gone;
    if (!clock.knows(byte.plain_writer, byte.plain_written)) return race;
    byte.read = true;
    granule.atomically_read[at][thread] = clock.of[thread];
    return nullptr;
  });
}

const char* Races::atomic_write(std::uintptr_t address, std::size_t size, int thread,
                                const VectorClock& clock) noexcept {
  return each_byte(address, size, [&](Granule& granule, std::size_t at) -> const char* {
    Byte& byte = granule.bytes[at];
    if (byte.freed) return gone;
    if (!clock.knows(byte.plain_writer, byte.plain_written)) return race;
    if (byte.read && !all_known(granule.plain_read[at], clock)) return race;
    // Others' atomic writes before this one stay to be known of by whoever accesses it plainly: an
    // acquirer of this one knows of them only if this thread does, so the later of two unordered
    // ones is not enough. Reads keep the rest: a write counts as one.
    byte.read = true;
    granule.atomically_read[at][thread] = clock.of[thread];
    byte.atomic_writer = static_cast<std::uint8_t>(thread);
    byte.atomically_written = clock.of[thread];
    return nullptr;
  });
}

const char* Races::freed(std::uintptr_t address, std::size_t size, int thread,
                         const VectorClock& clock) noexcept {
  if (const char* wrong = plain_write(address, size, thread, clock)) return wrong;
  return each_byte(address, size, [](Granule& granule, std::size_t at) -> const char* {
    granule.bytes[at].freed = true;
    return nullptr;
  });
}

}  // namespace explore
