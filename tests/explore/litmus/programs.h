// Litmus programs: what C++20, or x86, allows two to four threads to see. The checker's memory is
// right if it gives these outcomes and no others. Names and forms are the literature's: store
// buffering, message passing, coherence, independent reads of independent writes.
#pragma once

#include <cstdint>
#include <span>

#include "rows/row.h"

namespace explore {

struct Litmus {
  RowInfo row;
  std::uint64_t cpp;  ///< outcomes that C++20 allows, a bit for each: see `outcome`
  std::uint64_t x86;  ///< and x86, for the instructions that compilers make of it
};

std::span<const Litmus> litmus_programs();

/// Told by a program at the end of each run: which of its outcomes it had, below 64.
void outcome(unsigned number);

}  // namespace explore
