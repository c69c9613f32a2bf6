// The calling thread, for everything above the lot.
#pragma once

#include <underthread/errors.h>

#include "lot/thread_record.h"

namespace underthread {

inline const char* why_no_record(lot::NoRecord reason) noexcept {
  switch (reason) {
    case lot::NoRecord::threads:
      return "too many threads: 1048575 are known to underthread, which is as many as can be";
    case lot::NoRecord::keys:
      return "no pthread key is left to notice the end of this thread with: this process is "
             "allowed "
             "1024 (PTHREAD_KEYS_MAX)";
    case lot::NoRecord::memory:
      break;
  }
  return "no memory to know this thread by";
}

/// The calling thread's record.
/// @throws error  where it has none and cannot have one
inline lot::ThreadRecord& current_thread() {
  if (lot::this_thread) return static_cast<lot::ThreadRecord&>(*lot::this_thread);
  lot::NoRecord reason{};
  lot::ThreadRecord* const me = lot::attach(&reason);
  if (!me) throw error(why_no_record(reason));
  return *me;
}

}  // namespace underthread
