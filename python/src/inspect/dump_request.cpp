#include "inspect/dump_request.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>
#include <utility>

#include "cpython/gil.h"
#include "inspect/seen_objects.h"
#include "interrupts/interrupts.h"
#include "interrupts/main_thread.h"
#include "interrupts/reserved_signal.h"
#include "lot/fork.h"
#include "lot/mutex.h"
#include "lot/parking_lot.h"
#include "lot/thread_record.h"
#include "lot/wait_graph.h"
#include "os/request_signal.h"
#include "os/signal_action.h"
#include "os/write.h"
#include "plain_dump.h"
#include "state/module_state.h"
#include "text_buffer.h"

namespace underthread::python {
namespace {

constexpr int standard_error = 2;
constexpr std::int64_t tick = 50'000'000;
/// At each tick before another thread than main is asked; after so many the plain way is taken.
constexpr int ticks_to_plain = 4;
/// What one thread takes in the text that is kept.
constexpr std::size_t text_of_thread = 256;
/// In the value that `ask_for_dump` sends, above the descriptor.
constexpr int json_bit = 1 << 30;

enum class State : std::uint8_t {
  unused,  ///< To filled: a signal handler.
  filled,  ///< The handler writes what was asked. To wanted: the same, next.
  wanted,  ///< To being_made: a thread with the GIL, or a signal handler after a fifth of a second.
  being_made  ///< To unused: the same, next.
};

/// One that is under way. What whoever has moved it to `filled` or `being_made` writes is seen by
/// the next: acquire and release.
struct Requested {
  std::atomic<State> state{State::unused};
  int descriptor = standard_error;
  bool is_json = false;
  std::atomic<int> ticks{0};  ///< relaxed: counted by signal handlers
  os::KeptText text;          ///< the plain one, before anybody was woken for the other
  os::RequestTimer timer;
};

constinit std::array<Requested, 4> all_requested;
/// The value of its timer, beside those of the requests.
constexpr int after_value = 8;
constinit os::RequestTimer after_timer;

// The rest is the main interpreter's, set with its GIL and, but for these, read with it. Relaxed:
// numbers on their own, which signal handlers read.
constinit std::atomic<int> peoples_signal{0};
constinit std::atomic<bool> has_standard_error{false};
constinit std::atomic<int> stacks_signal{0};
constinit std::atomic<int> stacks_descriptor{-1};
constinit std::atomic<os::SignalHandler> write_stacks{nullptr};
constinit os::Notice notice;
/// Whose requests they are; null: nobody's.
constinit std::atomic<const ModuleState*> owner{nullptr};

/// The end of what is written to a pipe: a process that was forked meanwhile may hold it open.
constexpr std::string_view end_mark("\0", 1);

bool move(Requested& requested, State from, State to) {
  return requested.state.compare_exchange_strong(from, to, std::memory_order_acq_rel,
                                                 std::memory_order_relaxed);
}

void finish(Requested& requested) {
  requested.text.unmap();
  // In the child of a fork that comes between, the next request's is not this one.
  const int descriptor = std::exchange(requested.descriptor, standard_error);
  if (descriptor != standard_error) os::close_descriptor(descriptor);
  requested.state.store(State::unused, std::memory_order_release);
}

// --- In signal handlers

/// "underthread: process 4711".
void put_head(TextBuffer& text) {
  text << "underthread: process " << os::process_id();
}

struct Stacks {
  os::SignalHandler write;
  int signum;
  int from;
  int to;
};

/// In a copy of the process: faulthandler looks at threads that go on meanwhile, which may crash
/// it.
void write_stacks_of(void* argument) {
  const Stacks& stacks = *static_cast<const Stacks*>(argument);
  if (os::duplicate_as(stacks.from, stacks.to)) stacks.write(stacks.signum);
}

void make_plainly(Requested& requested, std::string_view why) {
  const bool is_pipe = requested.descriptor != standard_error;
  os::Output output(requested.descriptor);
  TextBuffer head;
  if (is_pipe) head << "p";
  put_head(head);
  head << ": " << why << "; this is what its signal handler saw\n";
  const bool is_heard = output.write(head.view()) && output.write(requested.text.view());
  Stacks stacks = {write_stacks.load(std::memory_order_acquire),
                   stacks_signal.load(std::memory_order_relaxed), requested.descriptor,
                   stacks_descriptor.load(std::memory_order_relaxed)};
  if (is_heard && stacks.write) {
    output.write("\n");
    if (!os::run_in_copy(write_stacks_of, &stacks))
      output.write("(the stacks cannot all be read)\n");
  }
  output.write("\n");
  if (is_pipe) output.write(end_mark);
  finish(requested);
}

/// One of the threads that wait for something of ours, and may be interrupted, comes to
/// `make_requested_dumps`. Not all of them: until they wait again they would be missing in it.
void ask_another(int number) {
  int found = 0;
  lot::try_each_thread([&](std::uint32_t holder) {
    lot::WaitEdge edge;
    if (found <= number && lot::try_look_at(holder, edge) == lot::Look::waits &&
        edge.wake_for != lot::WakeFor::nothing && found++ == number)
      lot::interrupt(*lot::record_of(holder));
  });
}

void passed(Requested& requested) {
  if (requested.state.load(std::memory_order_acquire) != State::wanted) return;
  const int ticks = requested.ticks.fetch_add(1, std::memory_order_relaxed) + 1;
  if (ticks < ticks_to_plain) ask_another(ticks - 1);
  if (ticks < ticks_to_plain || !move(requested, State::wanted, State::being_made)) return;
  requested.timer.stop();
  make_plainly(requested, "no thread could take the GIL within 0.2 s");
}

void want(const os::Request& request, int descriptor, bool is_json) {
  for (std::size_t i = 0; i < all_requested.size(); ++i) {
    Requested& requested = all_requested[i];
    if (!move(requested, State::unused, State::filled)) continue;
    requested.descriptor = descriptor;
    requested.is_json = is_json;
    requested.ticks.store(0, std::memory_order_relaxed);
    if (descriptor != standard_error) os::Output(descriptor).write(".");
    std::size_t threads = 16;
    lot::try_each_thread([&threads](std::uint32_t) { ++threads; });
    requested.text.make_room(threads * text_of_thread);
    say_dump([&requested](std::string_view line) { requested.text.add(line); });
    const bool is_timed =
        request.may_have_timer && requested.timer.start(static_cast<int>(i), tick, tick);
    requested.state.store(State::wanted, std::memory_order_release);
    trip_main_thread_in_handler();
    wake_main_thread();
    signal_was_handled();
    // Without a timer nobody would come back to it.
    if (!is_timed && move(requested, State::wanted, State::being_made))
      make_plainly(requested, "it has no timer to wait for a thread with");
    return;
  }
  os::Output output(descriptor);
  TextBuffer text;
  if (descriptor != standard_error) text << ".p";
  put_head(text);
  text << ": too many dumps are asked for at this moment\n";
  output.write(text.view());
  if (descriptor == standard_error) return;
  output.write(end_mark);
  os::close_descriptor(descriptor);
}

void asked(const os::Request& request) {
  switch (request.from) {
    case os::Request::From::anybody:
      if (has_standard_error.load(std::memory_order_relaxed)) want(request, standard_error, false);
      return;
    case os::Request::From::timer:
      if (request.value == after_value) {
        after_timer.stop();
        if (has_standard_error.load(std::memory_order_relaxed))
          want(request, standard_error, false);
        return;
      }
      return passed(all_requested[static_cast<std::size_t>(request.value) % all_requested.size()]);
    case os::Request::From::process: {
      const int to = os::open_descriptor_of(request.process, request.value & ~json_bit);
      if (to >= 0) want(request, to, (request.value & json_bit) != 0);
      return;
    }
  }
}

/// In the child of a fork.
void forget_parents_requests() {
  after_timer.forget();
  for (Requested& requested : all_requested) {
    requested.timer.forget();
    if (requested.state.load(std::memory_order_relaxed) != State::unused) finish(requested);
  }
}

// --- With the GIL

/// @param handler  a reference; null: none
void set_handler(ModuleState& state, PyObject* handler) {
  {
    const lot::Locked locked(lot::settings);
    std::swap(handler, state.dump_handler);
  }
  Py_XDECREF(handler);
}

/// The text, as bytes; null: there is none, and no error. Errors are the dump's own.
PyObject* make_text(const ModuleState& state, bool is_json, PyObject* all_of_it) {
  PyObject* handler = nullptr;
  {
    // Without a GIL the main thread may be refusing dumps.
    const lot::Locked locked(lot::settings);
    handler = Py_XNewRef(state.dump_handler);
  }
  if (!handler) return nullptr;
#if PY_VERSION_HEX >= 0x030B0000
  // Of no concern to a program's trace function.
  PyThreadState* const me = PyThreadState_Get();
  PyThreadState_EnterTracing(me);
#endif
  PyObject* const text =
      PyObject_CallFunction(handler, "OO", is_json ? Py_True : Py_False, all_of_it);
#if PY_VERSION_HEX >= 0x030B0000
  PyThreadState_LeaveTracing(me);
#endif
  PyObject* const bytes =
      text ? PyUnicode_AsEncodedString(text, "utf-8", "backslashreplace") : nullptr;
  PyErr_Clear();
  Py_XDECREF(text);
  Py_DECREF(handler);
  return bytes;
}

/// False: a Python error is set, which has nothing to do with the dump.
bool make(const ModuleState& state, Requested& requested) {
  // Before interrupts are held off, which it would show.
  PyObject* const all_of_it = snapshot(nullptr, nullptr);
  if (!all_of_it) PyErr_Clear();
  // What is raised in this thread meanwhile is the program's, and is raised behind it.
  PyObject* const hold =
      all_of_it ? PyObject_CallNoArgs(reinterpret_cast<PyObject*>(state.interrupts->hold_type))
                : nullptr;
  if (!hold) PyErr_Clear();
  PyObject* const entered = hold ? PyObject_CallMethod(hold, "__enter__", nullptr) : nullptr;
  // What ran out is ours, and not what a handler raised.
  if (!entered && PyErr_Occurred() &&
      (PyErr_ExceptionMatches(PyExc_MemoryError) || PyErr_ExceptionMatches(PyExc_RecursionError)))
    PyErr_Clear();
  PyObject *type = nullptr, *value = nullptr, *traceback = nullptr;
  PyErr_Fetch(&type, &value, &traceback);
  PyObject* const bytes = entered ? make_text(state, requested.is_json, all_of_it) : nullptr;
  without_gil([&] {
    if (!bytes)
      return make_plainly(requested, type ? "the handler of a signal raised before it was made"
                                          : "it has no memory or stack left for more");
    os::Output output(requested.descriptor);
    if (requested.descriptor != standard_error) output.write("g");
    output.write({PyBytes_AS_STRING(bytes), static_cast<std::size_t>(PyBytes_GET_SIZE(bytes))});
    if (requested.descriptor != standard_error) output.write(end_mark);
    finish(requested);
  });
  Py_XDECREF(bytes);
  Py_XDECREF(all_of_it);
  PyErr_Restore(type, value, traceback);
  PyObject* const left =
      entered ? PyObject_CallMethod(hold, "__exit__", "OOO", Py_None, Py_None, Py_None) : nullptr;
  const bool well = left || !PyErr_Occurred();
  Py_XDECREF(left);
  Py_XDECREF(entered);
  Py_XDECREF(hold);
  return well;
}

bool make_in_main_thread() {
  const Interrupts* const all = main_interrupts();
  return !all || make_requested_dumps(state_of(all->module));
}

/// With the GIL.
void give_back() {
  os::give_back_request_signal(peoples_signal.exchange(0, std::memory_order_relaxed));
  os::give_back_request_signal(SIGURG);
  after_timer.stop();
  write_stacks.store(nullptr, std::memory_order_release);
  for (Requested& requested : all_requested) {
    if (!move(requested, State::wanted, State::being_made)) continue;
    requested.timer.stop();
    finish(requested);
  }
  notice.take_down();
  owner.store(nullptr, std::memory_order_relaxed);
  const lot::Locked locked(lot::settings);
  let_go_of_nudges();
}

}  // namespace

bool make_requested_dumps(const ModuleState& state) {
  if (owner.load(std::memory_order_relaxed) != &state || is_finalizing()) return true;
  for (Requested& requested : all_requested) {
    if (requested.state.load(std::memory_order_relaxed) != State::wanted ||
        !move(requested, State::wanted, State::being_made))
      continue;
    requested.timer.stop();
    if (!make(state, requested)) return false;
  }
  return true;
}

void refuse_dump_requests(ModuleState& state) {
  if (owner.load(std::memory_order_relaxed) == &state) give_back();
}

PyObject* take_dump_requests(PyObject* module, PyObject* arguments) {
  PyObject* handler = nullptr;
  int signum = 0;
  int only_if_unused = 0;
  if (!PyArg_ParseTuple(arguments, "Oip", &handler, &signum, &only_if_unused)) return nullptr;
  if (!runs_handlers_here() || !may_use_signals()) {
    PyErr_SetString(PyExc_RuntimeError,
                    "dumps by signal are for the main thread of the main interpreter, whose "
                    "signals are its own");
    return nullptr;
  }
  ModuleState& state = state_of(module);
  if (handler == Py_None) {
    refuse_dump_requests(state);
    set_handler(state, nullptr);
    Py_RETURN_TRUE;
  }
  if (signum != peoples_signal.load(std::memory_order_relaxed))
    os::give_back_request_signal(peoples_signal.exchange(0, std::memory_order_relaxed));
  const os::SignalAction action =
      signum != 0 ? os::signal_action(signum) : os::SignalAction::system_default;
  if (only_if_unused && action == os::SignalAction::foreign && !os::is_request_signal(signum))
    Py_RETURN_FALSE;
  if (!reserve_signal()) return nullptr;
  lot::call_in_fork_child(forget_parents_requests);
  call_at_check(make_in_main_thread);
  set_handler(state, Py_NewRef(handler));
  owner.store(&state, std::memory_order_relaxed);
  // Where it is closed, what the program opens next is not for dumps.
  has_standard_error.store(os::is_open(standard_error), std::memory_order_relaxed);
  if (signum != 0) {
    if (const int error = os::take_request_signal(signum, asked)) {
      errno = error;
      return PyErr_SetFromErrno(PyExc_OSError);
    }
    peoples_signal.store(signum, std::memory_order_relaxed);
  }
  // Not where the program uses it.
  if (!os::is_request_signal(SIGURG) &&
      os::signal_action(SIGURG) == os::SignalAction::system_default &&
      os::take_request_signal(SIGURG, asked) == 0) {
    std::array<char, 64> name{};
    std::snprintf(name.data(), name.size(), "underthread-dump:%d", SIGURG);
    notice.put_up(name.data());
  }
  Py_RETURN_TRUE;
}

PyObject* unused_signal(PyObject*, PyObject*) {
  return PyLong_FromLong(os::unused_real_time_signal());
}

PyObject* set_stacks_signal(PyObject*, PyObject* arguments) {
  int signum = 0;
  int descriptor = 0;
  if (!PyArg_ParseTuple(arguments, "ii", &signum, &descriptor)) return nullptr;
  const os::SignalHandler handler = os::signal_handler(signum);
  if (handler) {
    os::set_signal_action(signum, os::SignalAction::system_default, nullptr);
    stacks_signal.store(signum, std::memory_order_relaxed);
    stacks_descriptor.store(descriptor, std::memory_order_relaxed);
    write_stacks.store(handler, std::memory_order_release);
  }
  return PyBool_FromLong(handler != nullptr);
}

PyObject* dump_after(PyObject*, PyObject* arguments) {
  double seconds = 0;
  if (!PyArg_ParseTuple(arguments, "d", &seconds)) return nullptr;
  const auto first = std::max<std::int64_t>(static_cast<std::int64_t>(seconds * 1e9), 1);
  return PyBool_FromLong(owner.load(std::memory_order_relaxed) &&
                         after_timer.start(after_value, first, 0));
}

PyObject* ask_for_dump(PyObject*, PyObject* arguments) {
  unsigned long long process = 0;
  int signum = 0;
  int descriptor = 0;
  int is_json = 0;
  if (!PyArg_ParseTuple(arguments, "Kiip", &process, &signum, &descriptor, &is_json))
    return nullptr;
  errno = os::ask_process(process, signum, descriptor | (is_json ? json_bit : 0));
  if (errno != 0) return PyErr_SetFromErrno(PyExc_OSError);
  Py_RETURN_NONE;
}

}  // namespace underthread::python
