#include "rows/in_place.h"

#include <underthread/deadlock.h>

#include "lot/parking_lot.h"
#include "rows/row.h"

namespace explore {
namespace {

struct InPlace {
  underthread::lot::ThreadRecord* record;
  std::uint32_t holder;
  underthread::Ident ident;
};
InPlace in_place[threads_in_place];

}  // namespace

void prepare_thread(int number) {
  underthread::lot::ThreadRecord* record = underthread::lot::attach();
  require(record, "a thread could not be made known");
  // Rows say themselves what is told of a deadlock.
  underthread::set_deadlock_handler(nullptr);
  // The main thread begins with a look around; rows begin after it.
  underthread::lot::take_pending(*record);
  in_place[number] = {record, record->holder, record->ident.load(std::memory_order_relaxed)};
}

underthread::lot::ThreadRecord& record_of_thread(int number) {
  return *in_place[number].record;
}

underthread::Ident ident_of_thread(int number) {
  return in_place[number].ident;
}

void WaitOrder::require_kept(const underthread::Lock& lock, int threads) {
  underthread::lot::unpark_one(&lock, [&](const underthread::lot::Queue& queue) {
    std::int64_t first_since = 0;
    std::int64_t oldest = 0;
    for (int i = 0; queue.first && i < threads; ++i) {
      const underthread::lot::ThreadRecord& record = record_of_thread(i);
      const bool waits = record.waits_for.load(std::memory_order_relaxed) == &lock;
      if (!waits) continue;
      if (since_[i] == 0) since_[i] = record.waiter.since;
      if (&record.waiter == queue.first) first_since = since_[i];
      if (oldest == 0 || since_[i] < oldest) oldest = since_[i];
    }
    require(first_since <= oldest, "the first in the queue is not who waits longest");
    return underthread::lot::Choice::leave;
  });
}

void require_nothing_left() {
  for (const InPlace& thread : in_place) {
    const underthread::lot::ThreadRecord& record = *thread.record;
    if (!underthread::lot::is_alive(thread.holder)) continue;
    require(!record.waits_for.load(std::memory_order_relaxed),
            "left behind: a thread stands in a queue");
  }
}

}  // namespace explore
