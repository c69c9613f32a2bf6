// Who is who: the two numbers that name a thread.
#pragma once

#include <underthread/lot/thread_head.h>

#include <cstdint>

namespace underthread {

/// Names a thread while it lives; may be used again after it ended. Never 0.
using Ident = std::uintptr_t;

/// The calling thread's ident (document: `_thread.get_ident`): the number that CPython's own
/// `get_ident` gives for the same thread.
inline Ident get_ident() noexcept;

/// The kernel's id of the calling thread (document: `_thread.get_native_id`): unique system-wide
/// while the thread lives, and right in a fork's child too.
/// @throws error  on a thread that we did not start, where its record cannot be had (see lock.h)
inline std::uint64_t get_native_id();

/// The same, of a thread that has no record, and gets one where it can.
Ident ident_without_record() noexcept;
std::uint64_t native_id_without_record();

Ident get_ident() noexcept {
  const lot::ThreadHead* me = lot::this_thread;
  // relaxed, both: the thread has set them itself, or whoever started it before that.
  return me ? me->ident.load(std::memory_order_relaxed) : ident_without_record();
}

std::uint64_t get_native_id() {
  const lot::ThreadHead* me = lot::this_thread;
  return me ? me->native_id.load(std::memory_order_relaxed) : native_id_without_record();
}

}  // namespace underthread
