#include "inbox.h"

#include <new>

#include "carrier.h"
#include "lot/thread_record.h"
#include "module.h"
#include "prompt.h"
#include "signal_slot.h"
#include "thread_nudge.h"

namespace underthread::python {

#if !UNDERTHREAD_HAS_GIL
namespace {
constinit PyMutex mutex = {0};
}  // namespace
InboxGuard::InboxGuard() {
  PyMutex_Lock(&mutex);
}
InboxGuard::~InboxGuard() {
  PyMutex_Unlock(&mutex);
}
#endif

struct Sent {
  PyObject* exception;
  PyObject* carrier;  ///< the class that the interpreter is told of; null: sent to the main thread
  Token token;
  Sent* next;
};

struct Inbox {
  Ident ident;
  /// The thread's record when this was made, by its holder: an ident may be another thread's later.
  /// 0: it has none.
  std::uint32_t holder;
  unsigned held;
  bool is_armed;
  Sent* first;
  Inbox* next;
};

namespace {

/// The main interpreter's, whose main thread has the signal slot. Set while that has an inbox.
constinit ModuleState* main_state = nullptr;

bool is_main(Ident ident) {
  return PyInterpreterState_Get() == PyInterpreterState_Main() && ident == main_ident();
}

std::uint32_t holder_of(Ident ident) {
  std::uint32_t holder = 0;
  lot::find(ident, [&](lot::ThreadRecord& record) { holder = record.holder; });
  return holder;
}

void drop(Sent* sent) {
  Py_DECREF(sent->exception);
  Py_XDECREF(sent->carrier);
  delete sent;
}

void drop_all(Sent* sent) {
  while (sent) {
    Sent* const next = sent->next;
    drop(sent);
    sent = next;
  }
}

Inbox* find(ModuleState& state, Ident ident) {
  Inbox* inbox = state.inboxes;
  while (inbox && inbox->ident != ident) inbox = inbox->next;
  return inbox;
}

/// Takes an inbox out of the list if nothing is in it or held off.
void unlink_if_idle(ModuleState& state, Inbox* inbox) {
  if (inbox->first || inbox->held > 0) return;
  Inbox** place = &state.inboxes;
  while (*place != inbox) place = &(*place)->next;
  *place = inbox->next;
  delete inbox;
}

/// Null: no memory. `stale` is set to what an earlier thread of that ident has left.
Inbox* find_or_make(ModuleState& state, Ident ident, Sent*& stale) {
  const std::uint32_t holder = holder_of(ident);
  Inbox* inbox = find(state, ident);
  if (inbox && inbox->holder != holder) {
    // A record may come late, and then it is the same thread.
    if (inbox->holder != 0) {
      stale = inbox->first;
      inbox->first = nullptr;
      inbox->held = 0;
      inbox->is_armed = false;
    }
    inbox->holder = holder;
  }
  if (inbox) return inbox;
  inbox = new (std::nothrow) Inbox{ident, holder, 0, false, nullptr, state.inboxes};
  if (inbox) state.inboxes = inbox;
  if (inbox && is_main(ident)) main_state = &state;
  return inbox;
}

/// Tells the interpreter of the first one. @return false: there is no such thread
bool arm(Inbox& inbox) {
  if (inbox.held > 0 || inbox.is_armed || !inbox.first) return true;
  inbox.is_armed = true;
  if (!inbox.first->carrier) {
    note_for_signal_slot();
    return true;
  }
  inbox.is_armed = PyThreadState_SetAsyncExc(inbox.ident, inbox.first->carrier) > 0;
  return inbox.is_armed;
}

/// In the thread itself: the interpreter is not to raise the first one; what somebody else has told
/// it meanwhile stays. The main thread's handler looks for itself.
void disarm(Inbox& inbox) {
  if (inbox.is_armed && inbox.first->carrier &&
      async_exception_of(PyThreadState_Get()) == inbox.first->carrier)
    PyThreadState_SetAsyncExc(inbox.ident, nullptr);
  inbox.is_armed = false;
}

/// In the thread itself: where it has raised the first one without making it (C code has asked for
/// its class and cleared it), that is gone.
Sent* gone_from(Inbox& inbox) {
  if (!inbox.is_armed || !inbox.first->carrier) return nullptr;
  if (async_exception_of(PyThreadState_Get()) == inbox.first->carrier) return nullptr;
  Sent* const gone = inbox.first;
  inbox.first = gone->next;
  gone->next = nullptr;
  inbox.is_armed = false;
  return gone;
}

/// What is to be raised for a class or an instance: the class makes one, as `raise` has it do, and
/// may make something else. Null: a Python error is set.
PyObject* instance_of(PyObject* exception) {
  return PyExceptionInstance_Check(exception) ? Py_NewRef(exception)
                                              : PyObject_CallNoArgs(exception);
}

/// Takes the reference.
void raise_instance(PyObject* instance) {
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(instance)), instance);
  Py_DECREF(instance);
}

/// A reference to code that does nothing; null: a Python error is set. To compile it takes longer
/// than to wake a thread, so each interpreter keeps one.
PyObject* empty_code() {
  const char* const key = "underthread.empty_code";
  PyObject* const kept = PyInterpreterState_GetDict(PyInterpreterState_Get());  // borrowed
  PyObject* code = kept ? PyDict_GetItemString(kept, key) : nullptr;            // borrowed
  if (code) return Py_NewRef(code);
  code = Py_CompileString("0", "<underthread>", Py_eval_input);
  if (code && kept && PyDict_SetItemString(kept, key, code) != 0) PyErr_Clear();
  return code;
}

/// Ends the thread's wait, if it is in one of ours, or its system call, if the interpreter would
/// raise there.
void wake(Ident ident) {
  lot::ThreadRecord* const thread =
      lot::find(ident, [](lot::ThreadRecord& record) { lot::interrupt(record); });
  const InboxGuard guard;
  if (thread) nudge_thread(*thread);
}

/// Takes the first one out of this thread's inbox, if there is one and nothing is held off.
/// @return the inbox; null: there was none, or it may be gone by now
Inbox* take_first(ModuleState& state, Inbox* inbox, Sent*& taken) {
  taken = inbox && inbox->held == 0 ? inbox->first : nullptr;
  if (!taken) return inbox;
  disarm(*inbox);
  inbox->first = taken->next;
  arm(*inbox);
  unlink_if_idle(state, inbox);
  return nullptr;
}

/// @return false: it is raised
bool raise_and_drop(Sent* taken) {
  if (!taken) return true;
  PyObject* const made = instance_of(taken->exception);
  if (made && PyExceptionInstance_Check(made)) {
    raise_instance(made);
  } else if (made) {
    PyErr_Format(PyExc_TypeError, "calling %R should have returned an instance of BaseException",
                 taken->exception);
    Py_DECREF(made);
  }
  drop(taken);
  return false;
}

}  // namespace

bool send(PyObject* module, Ident ident, PyObject* exception,
          lot::Callback<bool(Token)> is_wanted) {
  if (!claim_signal_slot()) return false;
  ModuleState& state = state_of(module);
  const bool to_main = is_main(ident);
  auto* const sent = new (std::nothrow) Sent{Py_NewRef(exception), nullptr, 0, nullptr};
  if (!sent) {
    Py_DECREF(exception);
    PyErr_NoMemory();
    return false;
  }
  Token token = 0;
  {
    const InboxGuard guard;
    token = ++state.last_token;
  }
  sent->token = token;
  if (!to_main && !(sent->carrier = carrier_of(module, exception))) {
    drop(sent);
    return false;
  }

  Sent* stale = nullptr;
  bool is_there = false;
  bool has_memory = true;
  {
    const InboxGuard guard;
    const bool is_still_wanted = is_wanted(token);
    Inbox* const inbox = is_still_wanted ? find_or_make(state, ident, stale) : nullptr;
    has_memory = inbox || !is_still_wanted;
    if (inbox) {
      Sent** end = &inbox->first;
      while (*end) end = &(*end)->next;
      *end = sent;
      // One that is held off, or behind another, is not told to the interpreter, which would know
      // whether there is such a thread.
      const bool is_behind = inbox->held > 0 || inbox->is_armed;
      is_there = is_behind ? inbox->holder == 0 || inbox->holder == holder_of(ident) : arm(*inbox);
      if (!is_there) {
        *end = nullptr;
        unlink_if_idle(state, inbox);
      }
    }
  }
  drop_all(stale);
  if (is_there) {
    if (to_main)
      hurry_for_signal_slot();
    else
      wake(ident);
    return true;
  }
  drop(sent);
  if (!has_memory) PyErr_NoMemory();
  return false;
}

PyObject* take_sent(PyObject* module, const PyObject* carrier, PyObject* otherwise) {
  ModuleState& state = state_of(module);
  Sent* taken = nullptr;
  {
    const InboxGuard guard;
    Inbox* const inbox = find(state, get_ident());
    if (inbox && inbox->is_armed && inbox->first->carrier == carrier) {
      taken = inbox->first;
      inbox->first = taken->next;
      inbox->is_armed = false;
      arm(*inbox);
      unlink_if_idle(state, inbox);
    }
  }
  settle_thread_nudge();
  PyObject* const made = instance_of(taken ? taken->exception : otherwise);
  if (taken) drop(taken);
  return made;
}

void take_back(ModuleState& state, Token token) {
  Sent* taken = nullptr;
  Sent* gone = nullptr;
  {
    const InboxGuard guard;
    Inbox* const inbox = find(state, get_ident());
    if (!inbox) return;
    gone = gone_from(*inbox);
    Sent** place = &inbox->first;
    while (*place && (*place)->token != token) place = &(*place)->next;
    taken = *place;
    if (taken) {
      if (taken == inbox->first) disarm(*inbox);
      *place = taken->next;
    }
    arm(*inbox);
    unlink_if_idle(state, inbox);
  }
  if (taken) drop(taken);
  if (gone) drop(gone);
}

bool hold_sent(ModuleState& state) {
  Sent* stale = nullptr;
  Sent* gone = nullptr;
  Inbox* inbox = nullptr;
  {
    const InboxGuard guard;
    inbox = find_or_make(state, get_ident(), stale);
    if (inbox) {
      gone = gone_from(*inbox);
      disarm(*inbox);
      ++inbox->held;
    }
  }
  drop_all(stale);
  if (gone) drop(gone);
  if (!inbox) PyErr_NoMemory();
  return inbox != nullptr;
}

bool release_sent(ModuleState& state, bool raise_now) {
  Sent* taken = nullptr;
  {
    const InboxGuard guard;
    Inbox* inbox = find(state, get_ident());
    // The child of a fork may have left it behind.
    if (!inbox) return true;
    if (inbox->held > 0) --inbox->held;
    if (raise_now)
      inbox = take_first(state, inbox, taken);
    else
      arm(*inbox);
    if (inbox) unlink_if_idle(state, inbox);
  }
  return raise_and_drop(taken);
}

bool raise_sent_to_main() {
  Sent* taken = nullptr;
  {
    const InboxGuard guard;
    if (!main_state) return true;
    Inbox* const inbox = find(*main_state, get_ident());
    if (inbox) inbox->is_armed = false;
    take_first(*main_state, inbox, taken);
  }
  return raise_and_drop(taken);
}

bool raise_sent_here() {
  if (!async_exception_of(PyThreadState_Get())) return true;
  // Any code will do: the interpreter looks around as it begins.
  PyObject* const code = empty_code();
  PyObject* const globals = code ? PyDict_New() : nullptr;
  PyObject* const result = globals ? PyEval_EvalCode(code, globals, globals) : nullptr;
  Py_XDECREF(globals);
  Py_XDECREF(code);
  if (result) {
    Py_DECREF(result);
    return true;
  }
  // Without the line that was there.
  PyObject *type, *error, *traceback;
  PyErr_Fetch(&type, &error, &traceback);
  Py_XDECREF(traceback);
  PyErr_Restore(type, error, nullptr);
  return false;
}

void forget_inbox(ModuleState& state) {
  Sent* left = nullptr;
  {
    const InboxGuard guard;
    Inbox* const inbox = find(state, get_ident());
    if (!inbox) return;
    left = inbox->first;
    inbox->first = nullptr;
    inbox->held = 0;
    unlink_if_idle(state, inbox);
  }
  drop_all(left);
}

void forget_inboxes(ModuleState& state) {
  if (main_state == &state) main_state = nullptr;
  while (Inbox* const inbox = state.inboxes) {
    state.inboxes = inbox->next;
    drop_all(inbox->first);
    delete inbox;
  }
}

}  // namespace underthread::python
