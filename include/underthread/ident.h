// Who is who: the two numbers that name a thread.
#pragma once

#include <underthread/lot/thread_head.h>

#include <cstdint>

namespace underthread {

/// Names a thread while it lives; may be used again after it ended. Never 0.
using Ident = std::uintptr_t;

/// The calling thread's ident (document: `_thread.get_ident`): the number that CPython's own
/// `get_ident` gives for the same thread. From then on others can interrupt it, if it can have a
/// record (see lock.h).
inline Ident get_ident() noexcept;

/// The kernel's id of the calling thread (document: `_thread.get_native_id`): unique system-wide
/// while the thread lives, and right in a fork's child too.
/// @throws error  on a thread that we did not start, where its record cannot be had (see lock.h)
inline std::uint64_t get_native_id();

/// The same, of a thread that has no record yet and gets it here.
Ident get_ident_at_first_use() noexcept;
std::uint64_t get_native_id_at_first_use();

Ident get_ident() noexcept {
  const lot::ThreadHead* me = lot::this_thread;
  // relaxed, both: the thread has set them itself, or whoever started it before that.
  return me ? me->ident.load(std::memory_order_relaxed) : get_ident_at_first_use();
}

std::uint64_t get_native_id() {
  const lot::ThreadHead* me = lot::this_thread;
  return me ? me->native_id.load(std::memory_order_relaxed) : get_native_id_at_first_use();
}

}  // namespace underthread
