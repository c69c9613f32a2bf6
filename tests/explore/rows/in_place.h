// What a row's runs find in place, and what they must leave so: the threads that the library knows.
#pragma once

#include <underthread/ident.h>
#include <underthread/lock.h>

#include "lot/thread_record.h"

namespace explore {

/// Threads that exist before every run, whether the row uses them or not: numbers from 0.
inline constexpr int threads_in_place = 11;

/// Makes the calling thread known to the library, as thread `number`.
void prepare_thread(int number);

/// What the library knows of a thread of the row.
underthread::lot::ThreadRecord& record_of_thread(int number);
underthread::Ident ident_of_thread(int number);

/// Who has waited longest for a lock, by when each was first seen to wait for it: whatever the lock
/// thinks of it after it was woken, overtaken or interrupted.
class WaitOrder {
 public:
  /// Whoever is first in the queue of `lock` began to wait no later than the others in it: of the
  /// row's first `threads` threads.
  void require_kept(const underthread::Lock& lock, int threads);

 private:
  std::int64_t since_[threads_in_place] = {};  // guarded by the lock's bucket
};

/// After a run: no thread that is still known stands in a queue or says that it waits.
void require_nothing_left();

}  // namespace explore
