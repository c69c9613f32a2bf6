// The kinds of wait above the lot, as whoever looks on sees them.
#pragma once

#include "lot/wait_kind.h"

namespace underthread {

extern const lot::WaitKind lock_wait;
extern const lot::WaitKind rlock_wait;
/// For a thread's end: a Latch that it sets.
extern const lot::WaitKind join_wait;
/// The same: a Lock that it holds until then, in whatever way.
extern const lot::WaitKind sentinel_wait;

}  // namespace underthread
