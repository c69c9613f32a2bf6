#include "cpython/gil.h"

#include <atomic>

#include "lot/spin.h"

namespace underthread::python {

#if UNDERTHREAD_HAS_GIL

namespace {

/// True since a thread let go of the GIL in here, until one got it in here. Not the truth: others
/// take it and let it go without us. relaxed: only to look at.
constinit std::atomic<bool> gil_seems_free{false};
constinit thread_local lot::SpinMemory spinning_for_gil;

/// Whoever wakes a thread often has the GIL, and needs it for a few microseconds more before it
/// waits itself. To take the GIL meanwhile would be a second sleep, so it is given a moment.
void await_gil() {
  lot::Spin spin(spinning_for_gil, true);
  while (!gil_seems_free.load(std::memory_order_relaxed))
    if (!spin.once()) return spin.failed();
  spin.succeeded();
}

}  // namespace

void without_gil(lot::Callback<void()> wait) {
  PyThreadState* const state = PyEval_SaveThread();
  gil_seems_free.store(true, std::memory_order_relaxed);
  wait();
  await_gil();
  PyEval_RestoreThread(state);
  gil_seems_free.store(false, std::memory_order_relaxed);
}

#else

void without_gil(lot::Callback<void()> wait) {
  PyThreadState* const state = PyEval_SaveThread();
  wait();
  PyEval_RestoreThread(state);
}

#endif

}  // namespace underthread::python
