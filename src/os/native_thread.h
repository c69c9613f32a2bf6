// The system's threads: start, end, names, and what happens at a thread's end and at a fork.
#pragma once

#include <cstddef>
#include <cstdint>

namespace underthread::os {

/// Starts a thread that runs `run(argument)`. The new thread must end by returning from `run`, or
/// by the system unwinding it: so no noexcept, and nothing caught, in what calls user code there.
/// What `run` returns is for nobody; it is of the kind that the system calls, so that nothing need
/// be allocated here, and freed in the new thread. Sets `ident` to what `thread_ident` says in it.
/// @param stack_size  bytes, whole pages, at least 32,768; 0: the system's default
/// @param joinable    true: exactly one `join_thread` or `detach_thread` must follow
/// @return 0, or an errno value: no thread was started
int start_thread(void* (*run)(void*), void* argument, std::size_t stack_size, bool joinable,
                 std::uintptr_t& ident);

/// Waits until the thread has left the system, which it is about to do: it has said so. At most one
/// caller at a time.
/// @param patience  ns, from 0 to a second @return false: it has not left by then
bool join_thread(std::uintptr_t ident, std::int64_t patience);
void detach_thread(std::uintptr_t ident);

/// The calling thread's pthread_t as a number: what CPython calls its ident. Never 0.
std::uintptr_t thread_ident() noexcept;
/// The kernel's number of the calling thread, asked anew.
std::uint64_t thread_native_id() noexcept;
/// Whether no thread of this process has that number of the kernel's, which it uses again.
bool has_ended(std::uint64_t native_id) noexcept;
/// The kernel's number of a thread of this process that has not ended, by its pthread_t. 0: the
/// system does not tell.
std::uint64_t native_id_of(std::uintptr_t ident) noexcept;
/// True in the thread that ran main; in the child of a fork, in the one that forked.
bool is_first_thread() noexcept;

/// Names the calling thread for the system's tools, cut to what the system keeps, never within a
/// UTF-8 character.
void set_thread_name(const char* name);

std::size_t page_size() noexcept;

/// Calls `ended(argument)` when the calling thread ends: after its function, its thread_local
/// destructors, and those of its pthread keys, but for the last round of these, which the system
/// runs when they have used keys again four times. `ended` is one and the same for the whole
/// process; `argument` is aligned by 8 at least.
/// @return 0, or an errno value; EAGAIN: no pthread key is left. A later call may find one
int call_at_thread_end(void (*ended)(void*), void* argument) noexcept;
/// True once `ended` has been called in this thread, which still runs destructors: it will not be
/// called again.
bool thread_end_has_been_told() noexcept;

/// From now on calls these around every fork: before it and after it in the parent, and in the
/// child. Later calls do nothing. @return 0, or an errno value
int call_at_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) noexcept;

/// Zeroed memory, page-aligned, never given back. Null when there is none.
void* map_for_ever(std::size_t bytes) noexcept;

}  // namespace underthread::os
