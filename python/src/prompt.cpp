#include "prompt.h"

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>

#include "blocking.h"
#include "lot/fork.h"
#include "os/native_thread.h"
#include "os/nudge.h"
#include "os/signal_action.h"
#include "signal_slot.h"

namespace underthread::python {
namespace {

// Relaxed: a switch.
constinit std::atomic<bool> is_on{true};
// From the environment; 0: any. Relaxed: set while the module is loaded.
constinit std::atomic<int> wanted_signal{0};

constinit os::Nudge nudge;
// The kernel's number of the interpreter's main thread; 0: that has not loaded the module, and is
// not nudged. Relaxed: a number on its own.
constinit std::atomic<std::uint64_t> main_native_id{0};

// The same thread's. Relaxed, as above.
constinit std::atomic<Ident> known_main_ident{0};

// How many interrupts have been sent, and how many of them the main thread has looked for. It is
// nudged while the two differ. seq_cst: whoever sends counts and then looks whether a pending call
// is on its way; that says that it is gone and then looks at the count. One sees the other.
constinit std::atomic<std::uint64_t> sent{0};
constinit std::atomic<std::uint64_t> looked_for{0};
constinit std::atomic<bool> call_is_pending{false};

bool is_awaited() {
  return sent.load(std::memory_order_seq_cst) != looked_for.load(std::memory_order_seq_cst);
}

// Nothing is awaited. Whoever sends meanwhile counts before it begins: either that is seen here, or
// it begins after this.
void stop() {
  nudge.stop();
  if (is_awaited()) nudge.begin_later();
}

// In a signal handler. The main thread may be in a wait of ours by now.
void nudged() {
  if (os::thread_native_id() != main_native_id.load(std::memory_order_relaxed)) return;
  if (!is_awaited()) return stop();
  wake_main_thread();
  nudge.again();
}

// In the child of a fork: what was sent before was for the parent, and the timer is the parent's.
void forget() {
  looked_for.store(sent.load(std::memory_order_relaxed), std::memory_order_relaxed);
  call_is_pending.store(false, std::memory_order_relaxed);
  main_native_id.store(os::thread_native_id(), std::memory_order_relaxed);
  known_main_ident.store(get_ident(), std::memory_order_relaxed);
}

// In the main thread, where it would run handlers.
int look(void*) {
  have_looked();
  // Some may have been noted since the interpreter ran handlers, just before this: all that were
  // counted above run now, since from here the way may lead into a system call without another
  // look.
  return PyErr_CheckSignals();
}

bool aim() {
  const lot::Locked locked(lot::settings);
  if (main_native_id.load(std::memory_order_relaxed) == 0) return false;
  const int signum = claim_nudge(nudged);
  if (signum == 0) return false;
  nudge.aim(main_native_id.load(std::memory_order_relaxed), signum);
  nudge.open();
  return true;
}

// Sees to it that the main thread calls `have_looked` where it runs handlers. False: it will not.
bool ask_to_look() {
  // A call would be the subinterpreter's, in whatever thread.
  if (pending_calls_are_the_interpreters_own &&
      PyInterpreterState_Get() != PyInterpreterState_Main())
    return note_signal(signal_slot());
  return Py_AddPendingCall(look, nullptr) == 0;
}

}  // namespace

bool prepare_prompt_interrupts() {
  lot::call_in_fork_child(forget);
  if (_PyOS_IsMainThread()) {
    main_native_id.store(os::thread_native_id(), std::memory_order_relaxed);
    known_main_ident.store(get_ident(), std::memory_order_relaxed);
  }
  const char* const prompt = std::getenv("UNDERTHREAD_PROMPT");
  if (prompt && prompt[0] == '0' && !prompt[1]) is_on.store(false, std::memory_order_relaxed);
  const int number = os::Nudge::number_wanted();
  if (number >= 0) {
    wanted_signal.store(number, std::memory_order_relaxed);
    return true;
  }
  // Where `_thread` is built in it comes before there is anything to warn with.
  if (!Py_IsInitialized()) return true;
  return PyErr_WarnFormat(
             PyExc_RuntimeWarning, 1,
             "underthread: UNDERTHREAD_NUDGE is no signal's number (1 to %d); one that "
             "nobody handles is used",
             os::last_signal()) == 0;
}

void have_looked() {
  const std::uint64_t now = sent.load(std::memory_order_seq_cst);
  call_is_pending.store(false, std::memory_order_seq_cst);
  looked_for.store(now, std::memory_order_seq_cst);
  stop();
}

Ident main_ident() {
  return known_main_ident.load(std::memory_order_relaxed);
}

int claim_nudge(void (*nudged)()) {
  return os::Nudge::claim(wanted_signal.load(std::memory_order_relaxed), nudged);
}

bool interrupts_are_prompt() {
  return is_on.load(std::memory_order_relaxed);
}

void hurry_main_thread(int signum) {
  // Where the handler is default or ignored there is nothing to run.
  const os::SignalAction action = os::signal_action(signum);
  if (action == os::SignalAction::system_default || action == os::SignalAction::ignored) return;
  const bool is_woken = wake_main_thread();
  // The main thread itself is on its way to where it looks.
  if (!is_on.load(std::memory_order_relaxed) || _PyOS_IsMainThread() || is_finalizing()) return;
  if (!aim()) return;
  sent.fetch_add(1, std::memory_order_seq_cst);
  if (!call_is_pending.exchange(true, std::memory_order_seq_cst) && !ask_to_look()) {
    // No room for one more: the main thread has enough to look for. It is nudged once or twice.
    call_is_pending.store(false, std::memory_order_seq_cst);
    looked_for.store(sent.load(std::memory_order_seq_cst), std::memory_order_seq_cst);
  }
  if (is_woken)
    nudge.begin_later();
  else
    nudge.begin();
}

PyObject* prompt_interrupts(PyObject*, PyObject* arguments) {
  int on = -1;
  if (!PyArg_ParseTuple(arguments, "|p:prompt_interrupts", &on)) return nullptr;
  const bool was_on = on < 0 ? is_on.load(std::memory_order_relaxed)
                             : is_on.exchange(on != 0, std::memory_order_relaxed);
  return PyBool_FromLong(was_on);
}

}  // namespace underthread::python
