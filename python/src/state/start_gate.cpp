#include "state/start_gate.h"

#include "cpython/gil.h"
#include "lot/fork.h"
#include "lot/parking_lot.h"
#include "lot/thread_record.h"
#include "state/module_state.h"

#if !UNDERTHREAD_HAS_GIL

namespace underthread::python {
namespace {

PyObject* close_starts(PyObject* module, PyObject*) {
  state_of(module).starts.close();
  Py_RETURN_NONE;
}

/// A moment later this thread would end wherever it takes its state back; until then it would only
/// be told that it can start none, and that be printed.
[[noreturn]] void wait_for_the_end() {
  lot::ThreadRecord* const me = lot::current();
  for (;;) {
    without_gil([&] {
      lot::Wait wait;
      if (me) lot::pass_time(*me, wait);
    });
  }
}

PyMethodDef close_method = {"_close_starts", close_starts, METH_NOARGS, nullptr};

}  // namespace

std::uint64_t StartGate::of_this_process(std::uint64_t word) {
  const std::uint64_t forks = lot::fork_count.load(std::memory_order_relaxed);
  return word >> 32 == forks ? word : forks << 32;
}

bool StartGate::enter() {
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t found = of_this_process(word);
    if (found & closed) {
      if (_PyOS_IsMainThread()) return false;
      wait_for_the_end();
    }
    if (word_.compare_exchange_weak(word, found + one, std::memory_order_acq_rel,
                                    std::memory_order_relaxed))
      return true;
  }
}

void StartGate::leave() {
  const std::uint64_t word = word_.fetch_sub(one, std::memory_order_acq_rel) - one;
  if ((word & closed) && !(word & inside)) empty_.set();
}

void StartGate::close() {
  std::uint64_t word = word_.load(std::memory_order_relaxed);
  std::uint64_t found = 0;
  do {
    found = of_this_process(word);
    if (found & closed) return;
  } while (!word_.compare_exchange_weak(word, found | closed, std::memory_order_acq_rel,
                                        std::memory_order_relaxed));
  lot::ThreadRecord* const me = lot::current();
  // Without the memory to wait with, the end goes on as it would on the interpreter's own.
  if (!(found & inside) || !me) return;
  without_gil([&] {
    lot::Wait wait;
    empty_.wait(*me, wait);
  });
}

void close_at_the_end(PyObject* module) {
  StartGate& starts = state_of(module).starts;
  if (!starts.is_to_be_watched()) return;
  PyObject* const atexit = PyImport_ImportModule("atexit");
  PyObject* const close = atexit ? PyCFunction_NewEx(&close_method, module, nullptr) : nullptr;
  PyObject* const done = close ? PyObject_CallMethod(atexit, "register", "O", close) : nullptr;
  if (!done) {
    PyErr_Clear();
    starts.is_not_watched();
  }
  Py_XDECREF(done);
  Py_XDECREF(close);
  Py_XDECREF(atexit);
}

}  // namespace underthread::python

#endif
