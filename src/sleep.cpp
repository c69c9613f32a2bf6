#include <underthread/sleep.h>

#include "lot/parking_lot.h"
#include "safe_point.h"

namespace underthread {

void sleep_until_deadline(std::int64_t deadline) {
  wait_at_safe_point(
      deadline, [](lot::ThreadRecord& me, lot::Wait& wait) { return lot::pass_time(me, wait); });
}

}  // namespace underthread
