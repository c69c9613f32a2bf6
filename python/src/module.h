// What one interpreter has of the module.
#pragma once

#include <underthread/lock.h>

#include <atomic>
#include <cstdint>

#include "carrier.h"
#include "cpython.h"
#include "start_gate.h"

namespace underthread::python {

class ThreadHandle;
struct Inbox;
struct TimeLimit;

struct ModuleState {
  PyObject* stock;  ///< the interpreter's own `_thread`
  PyTypeObject* lock_type;
  PyTypeObject* rlock_type;
  PyTypeObject* local_type;
  PyTypeObject* locals_type;
  PyTypeObject* beginning_type;
  PyTypeObject* handle_type;  ///< null where threads have no handles
  PyObject* locals_key;       ///< of a thread's ThreadLocals in the dict that it has of itself
  bool threads_are_allowed;   ///< false: an isolated subinterpreter, which may start none
  /// Ours that run, or are about to. Relaxed: a number on its own.
  std::atomic<Py_ssize_t> threads;
  StartGate starts;
  /// Handles of threads that the interpreter waits for at its end: a list, as thread_handle.h says.
  ThreadHandle* awaited;
  /// Of threads that have something left to raise, or hold it off: a list, as inbox.h says.
  Inbox* inboxes;
  RecentCarriers recent_carriers;  ///< guarded by InboxGuard
  std::uint64_t last_token;        ///< of what has been sent; guarded by InboxGuard
  /// Time limits in force whose time is not up, and who keeps it, as time_limit.h says. Guarded by
  /// InboxGuard.
  TimeLimit* limits;
  bool has_timekeeper;
  std::uint32_t timekeepers_process;  ///< by lot::fork_count
  std::int64_t timekeeper_wakes;      ///< at the latest: ns of the monotonic clock
  Lock bell;                          ///< released: the timekeeper is to look again
  bool watches_forks;
  PyTypeObject* hold_interrupts_type;
  PyTypeObject* time_limit_type;
};

ModuleState& state_of(PyObject* module);

/// The state of the module that a type, or one of its bases, belongs to; null: a Python error is
/// set.
ModuleState* state_of(PyTypeObject* type);

}  // namespace underthread::python
