// Fork: the child has one thread, the one that forked, and a copy of the memory as it was at that
// moment, in the middle of what the other threads were doing.
//
// So nothing of the lot is made whole before a fork: the child forgets. Its queues are empty, since
// nobody waits; its registry holds itself alone, which is the main thread now, with a new kernel
// id; all other records are free, so a lock word that names one of them names nobody alive. Locks
// stay as they are: what the forking thread held it still holds, and what others held stays locked.
#pragma once

#include <atomic>
#include <cstdint>

#include "lot/fork_mutex.h"

namespace underthread::lot {

/// From now on a fork's child is put right. @return 0, or an errno value
///
/// Also called when the library is loaded: handlers that the program registers after that run
/// before ours when it forks, and after ours in the parent and the child, and find all as ever.
int watch_forks() noexcept;

/// How many forks lie between the first process and this one. Constant but in a fork's child,
/// before anything else runs there; relaxed.
extern constinit std::atomic<std::uint32_t> fork_count;

/// Guards what the layers above keep once for the process: handlers, hooks. Held across a fork, so
/// the child finds these whole. Sections of a few instructions that call nobody else's code.
extern constinit ForkMutex settings;

/// Also calls `forget` in every fork's child from now on, after the lot has been put right. Again
/// for the same function: nothing. Room for eight.
void call_in_fork_child(void (*forget)()) noexcept;

/// Forgets all threads but the calling one and all who wait: what the child of a fork does. Also
/// brings the lot back to its first state where no other thread uses it.
void after_fork_in_child() noexcept;

}  // namespace underthread::lot
