// Waiting, as CPython waits: the one place where an object of ours lets go of the GIL.
#pragma once

#include <underthread/lot/wait.h>

#include <cstdint>

#include "cpython.h"
#include "lot/callback.h"

namespace underthread::python {

enum class Blocked : std::uint8_t {
  done,       ///< what was waited for has come
  timed_out,  ///< its time was up first
  raised,     ///< a Python error is set: a signal's handler raised it, or the library refused
};

enum class Handlers : std::uint8_t {
  run,   ///< signals' handlers run at once where this is the main thread; what one raises ends the
         ///< wait
  wait,  ///< they wait until the caller is back in the interpreter: `_acquire_restore`
};

/// Waits without the GIL. The caller holds it, has tried without waiting, and holds it again when
/// this returns. At the end of the interpreter this may not return at all: the thread is unwound by
/// the system, so nothing on the caller's stack may have a destructor.
/// @param patience  ns; lot::never: for ever
/// @param at_the_end  what it raises instead of waiting when the interpreter ends; null: it waits
/// @param park      waits once, without the GIL, and touches no Python object
Blocked block(std::int64_t patience, Handlers handlers, const char* at_the_end,
              lot::Callback<lot::WaitEnd(lot::Wait&)> park);

/// Lets other threads run while `wait` waits for what is sure to come soon. `wait` touches no
/// Python object and leaves nothing behind that a thread which does not come back would have to
/// clear.
void without_gil(lot::Callback<void()> wait);

/// Lets other threads run for a moment, for what is sure to come soon. @return false: a Python
/// error is set, as by `block`
bool pause_for_others();

/// Signals' handlers run in one thread of one interpreter: whether this is it.
bool runs_handlers_here();

/// Wakes the main thread if it is in `block`, so that it runs the handlers that are due. What is to
/// be found there is there already. Async-signal-safe. @return false: it is not there
bool wake_main_thread();

}  // namespace underthread::python
