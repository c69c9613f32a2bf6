// Waiting, as CPython waits: every wait of an object of ours goes through here.
#pragma once

#include <underthread/lot/wait.h>

#include <cstdint>

#include "cpython/cpython.h"
#include "lot/callback.h"

namespace underthread::python {

struct ModuleState;

enum class Blocked : std::uint8_t {
  done,       ///< what was waited for has come
  timed_out,  ///< its time was up first
  raised,     ///< a Python error is set: a signal's handler raised it, or an interrupt, or a time
              ///< limit, or the library refused
};

enum class Handlers : std::uint8_t {
  run,  ///< signals' handlers run at once where this is the main thread, and interrupts are raised;
        ///< what is raised ends the wait
  wait,  ///< they wait until the caller is back in the interpreter: `_acquire_restore`
};

/// What is waited for.
struct WaitedFor {
  const char* what;        ///< "a lock": for the text of a time limit that ends the wait
  const char* at_the_end;  ///< what it raises instead of waiting when the interpreter ends; null:
                           ///< it waits
};

/// Waits without the GIL. The caller holds it, has tried without waiting, and holds it again when
/// this returns. At the end of the interpreter this may not return at all: the thread is unwound by
/// the system, so nothing on the caller's stack may have a destructor.
/// @param patience  ns; lot::never: for ever
/// @param park      waits once, without the GIL, and touches no Python object
Blocked block(const ModuleState& state, std::int64_t patience, Handlers handlers,
              const WaitedFor& waited_for, lot::Callback<lot::WaitEnd(lot::Wait&)> park);

}  // namespace underthread::python
