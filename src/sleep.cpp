#include <underthread/sleep.h>

#include "lot/parking_lot.h"
#include "safe_point.h"

namespace underthread {

void sleep_until_moment(std::int64_t moment) {
  wait_at_safe_point(moment, [](lot::ThreadRecord& me, lot::Wait& wait) {
    if (wait.until <= 0) return lot::WaitEnd::timed_out;
    // Nobody unparks this key: only time and interrupts end a sleep.
    const auto always = [] { return true; };
    return lot::park(me, &me.parker, always, wait) == lot::ParkEnd::interrupted
               ? lot::WaitEnd::interrupted
               : lot::WaitEnd::timed_out;
  });
}

}  // namespace underthread
