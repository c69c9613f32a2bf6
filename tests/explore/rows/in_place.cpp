#include "rows/in_place.h"

#include "lot/thread_record.h"
#include "rows/row.h"

namespace explore {
namespace {

struct InPlace {
  underthread::lot::ThreadRecord* record;
  std::uint32_t holder;
};
InPlace in_place[threads_in_place];

}  // namespace

void prepare_thread(int number) {
  underthread::lot::ThreadRecord* record = underthread::lot::attach();
  require(record, "a thread could not be made known");
  // The main thread begins with a look around; rows begin after it.
  underthread::lot::take_pending(*record);
  in_place[number] = {record, record->holder};
}

void require_nothing_left() {
  for (const InPlace& thread : in_place) {
    const underthread::lot::ThreadRecord& record = *thread.record;
    if (record.live.load(std::memory_order_relaxed) != thread.holder) continue;
    require(!record.waiter.queued, "left behind: a thread stands in a queue");
    require(!record.waits_for.load(std::memory_order_relaxed),
            "left behind: a thread says that it waits");
  }
}

}  // namespace explore
