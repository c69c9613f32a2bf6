// What a wait does that was told of a deadlock.
#pragma once

#include <underthread/deadlock.h>

#include <optional>

#include "lot/thread_record.h"

namespace underthread {

/// Whether waits are to tell: Wait::tells_deadlock.
bool deadlocks_are_told() noexcept;

/// The deadlock that the thread's last wait closed, after WaitEnd::deadlock; none: it is no more.
std::optional<Deadlock> find_deadlock(const lot::ThreadRecord& me);

/// In a thread whose wait has ended in WaitEnd::deadlock, before it waits again: calls the handler,
/// if the deadlock is still there.
/// @throws what that throws
void tell_deadlock(lot::ThreadRecord& me);

}  // namespace underthread
