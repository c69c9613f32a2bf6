#include "interrupts/signal_fronts.h"

#include <atomic>
#include <bit>
#include <cstdint>

#include "interrupts/interrupts.h"
#include "interrupts/main_thread.h"
#include "interrupts/reserved_signal.h"
#include "os/signal_action.h"
#include "os/signal_front.h"

namespace underthread::python {
namespace {

// seq_cst: who notes sets its bit and then looks whether signals are still held; who releases ends
// that and then takes the bits. One of the two finds it, and only one.
constinit std::atomic<bool> is_holding{false};
constinit std::atomic<std::uint64_t> interrupts{0};

void interrupt([[maybe_unused]] int signum) {
#if UNDERTHREAD_INTERRUPT_TAKES_SIGNUM
  PyErr_SetInterruptEx(signum);
#else
  PyErr_SetInterrupt();
#endif
}

/// `_signal.getsignal`, borrowed; null: it cannot be had.
PyObject* getsignal() {
  Interrupts* const all = main_interrupts();
  // To import it is to take SIGINT.
  if (!all || PyInterpreterState_Get() != all->interpreter || !may_use_signals()) return nullptr;
  if (all->getsignal) return all->getsignal;
  PyObject* const signal = PyImport_ImportModule("_signal");
  all->getsignal = signal ? PyObject_GetAttrString(signal, "getsignal") : nullptr;
  Py_XDECREF(signal);
  PyErr_Clear();
  return all->getsignal;
}

/// Python's table of handlers. All of it is read wherever interrupts are held off: so by the C
/// function of `getsignal`, as the interpreter would call that.
class HandlerTable {
 public:
  HandlerTable() : getsignal_(getsignal()) {
    if (!getsignal_ || !PyCFunction_Check(getsignal_) ||
        PyCFunction_GET_FLAGS(getsignal_) != METH_O)
      return;
    function_ = PyCFunction_GET_FUNCTION(getsignal_);
    self_ = PyCFunction_GET_SELF(getsignal_);
  }

  /// A reference; null: nothing, or it cannot be read.
  PyObject* operator[](int signum) const {
    PyObject* const number = getsignal_ ? PyLong_FromLong(signum) : nullptr;
    if (!number) return nullptr;
    PyObject* const found = function_ ? function_(self_, number)
                                      : PyObject_CallFunctionObjArgs(getsignal_, number, nullptr);
    Py_DECREF(number);
    if (!found) PyErr_Clear();
    return found;
  }

 private:
  PyObject* getsignal_;
  PyCFunction function_ = nullptr;
  PyObject* self_ = nullptr;
};

/// What has come is handed to the handlers that are in force. @return whether anything has
bool hand_over() {
  bool has_come = os::are_signals_noted();
  os::release_signals();
  is_holding.store(false, std::memory_order_seq_cst);
  std::uint64_t left = interrupts.exchange(0, std::memory_order_seq_cst);
  for (int signum = 1; left != 0; ++signum, left >>= 1) {
    if (!(left & 1)) continue;
    interrupt(signum);
    has_come = true;
  }
  return has_come;
}

}  // namespace

PyObject* python_handler(int signum) {
  return HandlerTable()[signum];
}

void put_fronts() {
  if (!may_use_signals()) return;
  os::call_behind_fronts(signal_was_handled);
  const HandlerTable handlers;
  for (std::uint64_t left = os::signals_with_fronts(); left != 0; left &= left - 1) {
    const int signum = std::countr_zero(left) + 1;
    PyObject* const handler = handlers[signum];
    // Most are numbers: SIG_DFL and SIG_IGN.
    if (handler && !PyLong_Check(handler) && PyCallable_Check(handler) && !is_reserved(handler))
      os::put_front(signum);
    Py_XDECREF(handler);
  }
}

void hold_python_signals() {
  put_fronts();
  is_holding.store(true, std::memory_order_seq_cst);
  os::hold_signals();
  hold_alarm(true);
}

bool note_held_interrupt(int signum) {
  if (!is_holding.load(std::memory_order_seq_cst)) return false;
  const std::uint64_t bit = std::uint64_t{1} << (signum - 1);
  interrupts.fetch_or(bit, std::memory_order_seq_cst);
  return is_holding.load(std::memory_order_seq_cst) ||
         !(interrupts.fetch_and(~bit, std::memory_order_seq_cst) & bit);
}

bool release_python_signals() {
  const bool has_come = hand_over();
  hold_alarm(false);
  if (!has_come || PyErr_CheckSignals() == 0) return true;
  // The rest is noted, and the handler has made the interpreter forget to look for it.
  trip_main_thread();
  return false;
}

void release_signals_of_main_thread() {
  hand_over();
  // Its alarm is set anew when it comes by.
  let_alarm_ring();
  tell_main_thread();
}

void end_hold_of_python_signals() {
  if (is_holding.load(std::memory_order_seq_cst)) hand_over();
}

void forget_held_signals(bool holds) {
  os::forget_noted_signals(holds);
  is_holding.store(holds, std::memory_order_seq_cst);
  interrupts.store(0, std::memory_order_seq_cst);
}

}  // namespace underthread::python
