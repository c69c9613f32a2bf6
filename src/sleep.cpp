#include <underthread/sleep.h>

#include "lot/parking_lot.h"
#include "safe_point.h"

namespace underthread {

void sleep_until_moment(std::int64_t moment) {
  wait_at_safe_point(
      moment, [](lot::ThreadRecord& me, lot::Wait& wait) { return lot::pass_time(me, wait); });
}

}  // namespace underthread
