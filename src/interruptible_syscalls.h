// Between interrupts and the system calls that they end. A thread that has asked for it has a nudge
// (os/nudge.h), which is open while it is in such a scope and does not hold interrupts off.
#pragma once

#include "lot/thread_record.h"

namespace underthread {

/// After `lot::interrupt`: ends the system call that the thread is in, or about to make, if it
/// wants that. Async-signal-safe.
void end_syscall(lot::ThreadRecord& thread) noexcept;

/// In the thread itself, when something has changed of what it is to be nudged for: it has come to
/// a safe point, or a limit of time has begun or ended.
void settle_nudge(lot::ThreadRecord& me) noexcept;

/// In the thread itself, when `interrupts_held` has become 1, and 0.
void close_nudge(lot::ThreadRecord& me) noexcept;
void open_nudge(lot::ThreadRecord& me) noexcept;

}  // namespace underthread
