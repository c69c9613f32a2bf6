// A time limit: a block of Python code that is interrupted when its time is up.
#pragma once

#include <underthread/ident.h>

#include <cstdint>

#include "cpython/cpython.h"
#include "interrupts/mailbox.h"

namespace underthread::python {

/// The Python object is `time_limit`.
///
///   idle      nobody is in its block
///   running   its thread is in the block, and its time is not up
///   over      its time is up: its Pending is in the thread's mailbox, or has been raised
struct TimeLimit {
  PyObject_HEAD PyObject* seconds;  ///< as it was said
  PyObject* shown;        ///< its text, so that no code of the program's runs where it is raised
  std::int64_t patience;  ///< ns; lot::never: no limit
  /// The frame of the innermost generator or coroutine that the block is in: while it is suspended
  /// the block does not run, and nothing is raised for it. Null: the block is in none.
  PyObject* frame;
  /// Where that is below another function, which has the block: the frame of that function, which
  /// cannot be suspended. Null: it has none.
  PyObject* function;
  /// The asyncio task that the block is in, and what its loop is to call when the time is up. Null:
  /// it is in none.
  PyObject* task;
  PyObject* timer;
  PyObject* message;  ///< what our cancellation of it says. Null: none
#if !UNDERTHREAD_HAS_GIL
  PyObject* weak_reference;  ///< to itself, from its first block on: `keep`
#endif
  bool is_entered;        ///< and not left
  bool was_raised;        ///< for the block that was entered last
  bool has_cancelled;     ///< the task, which has not been told otherwise
  Py_ssize_t cancelling;  ///< how often that had been cancelled when the block was entered; -1: its
                          ///< kind does not count that

  // Guarded by Guard, from here on.
  enum State : std::uint8_t { idle, running, over } state;
  bool expired;        ///< its time was up since it was last entered
  bool by_timekeeper;  ///< or by the main thread's alarm
  Ident ident;         ///< of the thread that is in the block, and its record
  std::uint32_t holder;
  std::int64_t begin;  ///< of the block, ns of the monotonic clock
  std::int64_t deadline;
  std::int64_t look_at;     ///< when to look again, if its frame was suspended
  std::int64_t not_before;  ///< it is raised, if a limit around it has been
  Pending pending;          ///< what is sent when it is over
  // In the mailbox's lists: what refers to it there; null: it is in none.
  TimeLimit** place;
  TimeLimit* next;
  TimeLimit** block_place;
  TimeLimit* next_block;
};

/// A new reference to a limit that is in force, which its own thread may be freeing just now. Under
/// Guard. @return false: it is
bool keep(TimeLimit& limit);

/// The TimeoutError that a limit raises, as a reference; null: another Python error is set.
/// @param what  what its thread waited for; null: nothing, or it is not known
PyObject* limit_error(TimeLimit& limit, const char* what);

}  // namespace underthread::python
