// `_thread._ThreadHandle`: how a thread that was started can be waited for, once or often, by
// whoever has its handle. From 3.13 on `threading` joins by it.
#pragma once

#include "cpython/cpython.h"

#if !UNDERTHREAD_HAS_SENTINEL

#include <underthread/ident.h>
#include <underthread/thread.h>

#include <atomic>
#include <cstdint>

#include "latch.h"
#include "state/module_state.h"

namespace underthread::python {

/// Shared by the Python object, the thread and whoever waits; each has a reference. Also stands for
/// a thread that is not ours (`_make_thread_handle`), which ends when somebody says so.
///
/// Two lists go through handles: of all, so that the child of a fork can mark those of threads that
/// did not survive; and of each interpreter's awaited ones. Both are guarded by lot::settings,
/// which a fork leaves whole.
class ThreadHandle {
 public:
  /// One reference, the caller's. Null: no memory.
  static ThreadHandle* make();
  // relaxed: whoever takes one more has one, and `drop` orders the end.
  void refer() { references_.fetch_add(1, std::memory_order_relaxed); }
  /// Gives a reference back; the last one lets a thread that still runs go its way. Needs no GIL.
  void drop();

  /// The thread's, 0 before it has one.
  Ident ident() const { return ident_.load(std::memory_order_acquire); }
  bool is_done() const { return ended_.is_set(); }

  /// True for the one caller that may start a thread for it; the others get the Python error.
  bool begin_start();
  /// After `begin_start`: starts `function`. @throws as Thread's constructor; then it is done
  template <class Function>
  void start(Function function) {
    thread_ = Thread(function);
    started_as(thread_.ident());
  }
  void cancel_start();
  /// It stands for that thread, which was there before it.
  void started_as(Ident ident);

  /// Called by the thread, when nothing of it is Python's any more.
  void thread_ends();

  /// Waits until the thread has ended. False: a Python error is set.
  /// @param patience  ns; lot::never: for ever. Time up is no error
  bool join(const ModuleState& state, std::int64_t patience);
  /// The thread counts as ended. False: a Python error is set.
  bool set_done();

  /// The interpreter of `state` waits for it at its end, or does not any more.
  void await(ModuleState& state);
  void forget();

 private:
  // not_started -> starting -> running -> done. Release and acquire: who sees `running` sees the
  // thread and its ident. `starting` is relaxed: it only keeps a second starter out. The child of a
  // fork is alone, and relaxed throughout.
  enum State : int { not_started, starting, running, done };

  friend PyObject* shutdown(PyObject* module, PyObject*);
  friend void forget_awaited(ModuleState& state);
  friend void forget_handles_in_fork_child();

  bool check_started() const;
  void unlink_awaited();

  std::atomic<int> references_{1};
  std::atomic<State> state_{not_started};
  std::atomic<Ident> ident_{0};
  Latch ended_;
  Thread thread_;  // none: it is not ours
  ThreadHandle *next_ = nullptr, *prev_ = nullptr;
  ModuleState* awaited_by_ = nullptr;
  ThreadHandle *next_awaited_ = nullptr, *prev_awaited_ = nullptr;
};

/// The type `_thread._ThreadHandle`; null: a Python error is set.
PyTypeObject* make_handle_type(PyObject* module);

/// A new object with a handle of its own; null: a Python error is set.
PyObject* new_handle(PyTypeObject* handle_type);
ThreadHandle& handle_of(PyObject* object);

/// `_thread._make_thread_handle(ident)`
PyObject* make_thread_handle(PyObject* module, PyObject* ident);

/// `_thread._shutdown()`: joins what is awaited.
PyObject* shutdown(PyObject* module, PyObject*);

/// The interpreter waits for nobody any more: its state goes.
void forget_awaited(ModuleState& state);

}  // namespace underthread::python

#endif
