// Between limits of time, which know when they are over, and interrupts, which find the moment to
// tell.
#pragma once

#include "lot/thread_record.h"

namespace underthread {

/// Throws the TimeoutError of a limit of this thread that is over and has not been told: of several
/// the one that was over first.
void throw_due_limit(lot::ThreadRecord& me);

/// When the next one is over, ns of the monotonic clock; `lot::never`: none is in force.
inline std::int64_t limit_until(const lot::ThreadRecord& me) noexcept {
  return me.limit_until.load(std::memory_order_relaxed);
}

}  // namespace underthread
