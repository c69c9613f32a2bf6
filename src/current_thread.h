// The calling thread, for everything above the lot.
#pragma once

#include <underthread/errors.h>

#include "lot/thread_record.h"

namespace underthread {

/// The calling thread's record.
/// @throws error  where it has none and cannot have one
inline lot::ThreadRecord& current_thread() {
  lot::ThreadRecord* me = lot::current();
  if (!me) throw error("too many threads: no record for this one");
  return *me;
}

}  // namespace underthread
