#include <underthread/time_limit.h>

#include <string>

#include "current_thread.h"
#include "due_limit.h"
#include "interruptible_syscalls.h"
#include "os/futex.h"

namespace underthread {

/// The limits that are in force in one thread, from the innermost.
class TimeLimits {
 public:
  explicit TimeLimits(lot::ThreadRecord& thread) : me_(thread) {}

  void enter(TimeLimit& limit) {
    limit.outer_ = me_.limits;
    me_.limits = &limit;
    note_next();
  }

  void leave(const TimeLimit& limit) {
    TimeLimit** place = &me_.limits;
    while (*place != &limit) place = &(*place)->outer_;
    *place = limit.outer_;
    note_next();
  }

  /// The one that is over first of those that have not been told; of equal ones the outermost.
  /// Null: none.
  TimeLimit* next() const {
    TimeLimit* first = nullptr;
    for (TimeLimit* limit = me_.limits; limit; limit = limit->outer_)
      if (!limit->is_told_ && (!first || limit->until_ <= first->until_)) first = limit;
    return first;
  }

  [[noreturn]] void tell(TimeLimit& limit) {
    limit.is_told_ = true;
    note_next();
    const std::string length = limit.said_.text();
    throw TimeoutError(length.empty() ? "the time limit is over"
                                      : "the time limit of " + length + " is over");
  }

 private:
  void note_next() {
    const TimeLimit* const first = next();
    me_.limit_until.store(first ? first->until_ : lot::never, std::memory_order_relaxed);
    me_.is_limited = first != nullptr;
    settle_nudge(me_);
  }

  lot::ThreadRecord& me_;
};

TimeLimit::TimeLimit(Timeout timeout) : said_(timeout), until_(timeout.deadline()) {
  lot::ThreadRecord& me = current_thread();
  if (until_ != lot::never) TimeLimits(me).enter(*this);
}

TimeLimit::~TimeLimit() {
  if (until_ != lot::never)
    TimeLimits(static_cast<lot::ThreadRecord&>(*lot::this_thread)).leave(*this);
}

bool TimeLimit::expired() const noexcept {
  return until_ <= os::now();
}

void throw_due_limit(lot::ThreadRecord& me) {
  if (!me.is_limited || limit_until(me) > os::now()) return;
  TimeLimits limits(me);
  limits.tell(*limits.next());
}

}  // namespace underthread
