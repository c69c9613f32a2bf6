// The timekeeper: looks when time limits are over, for all interpreters of the process. A thread of
// the system's that blocks all signals, has no thread state, and attaches to an interpreter for the
// moment in which it tells a thread of that one.
//
// It starts with the first limit that needs it: of a thread other than the main one, or of a main
// thread that cannot have an alarm (main_thread.h) or has other threads beside it. It also looks
// after exceptions that wait in a mailbox behind another (mailbox.h), and nudges a main thread of
// which it was not clear whether that may be. It ends when there has been
// nothing to look after for a second; before a fork, so that a child, and the interpreter's
// warning, see no thread that the program has not started; and with the last interpreter. A program
// with one thread never has it.
#pragma once

#include <cstdint>

#include "cpython/cpython.h"

namespace underthread::python {

struct Interrupts;

/// A limit that is in force is looked after from now on, at that moment at the latest: ns of the
/// monotonic clock. @return false: a Python error is set, and nobody does
bool keep_time(std::int64_t look_at);
/// A mailbox is to be looked at again. A Python error that is set stays, and none is.
void call_timekeeper();

/// The timekeeper is to nudge the main thread (`nudge_again`), as soon as it is clear what that
/// waits for. A Python error that is set stays, and none is.
void nudge_later();

/// From now on the timekeeper knows this interpreter, or does not any more.
void add_to_timekeeper(Interrupts& all);
void remove_from_timekeeper(Interrupts& all);
/// Waits, without the GIL, until it is not attached to this interpreter. `is_ended` is set.
void await_timekeeper(Interrupts& all);

/// With the GIL: ends it, and waits for that without the GIL. The next limit starts it again.
void stop_timekeeper();
/// Whether it knows no interpreter any more.
bool timekeeper_is_idle();
/// Before a fork: that, and it is not started until the fork is over.
void stop_timekeeper_for_fork();
/// In the parent, after it: it goes on if there is a limit that it is to look after.
void restart_timekeeper();
/// In the child of a fork: it is not there. Async-signal-safe.
void forget_timekeeper();

}  // namespace underthread::python
