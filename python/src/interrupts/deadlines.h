// Time limits that are in force: in a mailbox from when a block is entered until it is left, and
// sent when they are over.
#pragma once

#include <cstdint>

#include "interrupts/mailbox.h"

namespace underthread::python {

/// A limit is in force from now on, in this thread, until its `deadline`; its `pending` is filled.
/// @return false: a Python error is set
bool enter(Interrupts& all, TimeLimit& limit);
/// The block has been left, in its own thread. What was not raised for it never is.
void leave(Interrupts& all, TimeLimit& limit);
/// A limit goes, in any thread, that was never left.
void abandon(Interrupts& all, TimeLimit& limit);

/// Until when this thread may wait: the end of the first of its limits that may be raised now, ns
/// of the monotonic clock; lot::never: there is none.
std::int64_t next_limit(Interrupts& all);

/// Limits of any thread that are over by now are sent. With the GIL. @return when to look again: ns
/// of the monotonic clock; lot::never: no limit is in force
std::int64_t expire_limits(Interrupts& all, std::int64_t now);
/// When the timekeeper is to look, at the latest, or for `by_timekeeper` unset the main thread's
/// alarm is to ring. Under Guard.
std::int64_t first_deadline(const Interrupts& all, bool by_timekeeper);

}  // namespace underthread::python
