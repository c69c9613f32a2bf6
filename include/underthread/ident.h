// Who is who: the two numbers that name a thread.
#pragma once

#include <cstdint>

namespace underthread {

/// Names a thread while it lives; may be used again after it ended. Never 0.
using Ident = std::uintptr_t;

/// The calling thread's ident (document: `_thread.get_ident`): the number that CPython's own
/// `get_ident` gives for the same thread.
Ident get_ident() noexcept;

/// The kernel's id of the calling thread (document: `_thread.get_native_id`): unique system-wide
/// while the thread lives, and right in a fork's child too.
/// @throws error  on a thread that we did not start, where its record cannot be had (see lock.h)
std::uint64_t get_native_id();

}  // namespace underthread
