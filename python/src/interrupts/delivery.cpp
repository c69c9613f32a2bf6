#include "interrupts/delivery.h"

#include <underthread/lot/wait.h>

#include <new>

#include "interrupts/async_exception.h"
#include "interrupts/guard.h"
#include "interrupts/interrupts.h"
#include "interrupts/limit.h"
#include "interrupts/main_thread.h"
#include "interrupts/start_failure.h"
#include "interrupts/thread_nudge.h"
#include "interrupts/timekeeper.h"
#include "lot/thread_record.h"
#include "os/futex.h"

namespace underthread::python {
namespace {

/// How long the blocks within one whose limit has been raised may take to be left: ns.
constexpr std::int64_t time_to_unwind = 100'000'000;

/// Whether a Pending may be raised in its thread now.
bool is_due(const Interrupts& all, const Mailbox& box, const Pending& pending) {
  if (pending.kind == Kind::start_failure || box.held > 0) return false;
  return !pending.frame || has_frame(all, box.ident, pending.frame);
}

/// Whether it may be raised wherever its thread comes to next, without another look. A generator
/// may be suspended on the way there; not below a function that has not returned.
bool is_due_anywhere(const Interrupts& all, const Mailbox& box, const Pending& pending) {
  if (!is_due(all, box, pending)) return false;
  PyObject* const function = pending.limit ? pending.limit->function : nullptr;
  return !pending.frame || (function && has_frame(all, box.ident, function));
}

/// A limit has been raised, which leaves the blocks within its own too: their limits are not raised
/// on top of it for a while, and hide it.
void let_unwind(Mailbox& box, const TimeLimit& limit, Gone& gone) {
  const std::int64_t not_before = os::now() + time_to_unwind;
  const auto is_within = [&](const TimeLimit& each) {
    return &each != &limit && each.begin >= limit.begin && each.frame == limit.frame;
  };
  for (TimeLimit* each = box.limits; each; each = each->next)
    if (is_within(*each)) each->not_before = not_before;
  for (Pending *each = box.first, *next = nullptr; each; each = next) {
    next = each->next;
    if (each == box.told || !each->limit || !is_within(*each->limit)) continue;
    each->limit->not_before = not_before;
    box.remove(each);
    box.add_limit(each->limit);
    gone.add(each);
  }
}

Pending* first_due(const Interrupts& all, const Mailbox& box) {
  Pending* pending = box.first;
  while (pending && !is_due(all, box, *pending)) pending = pending->next;
  if (!pending || !pending->limit) return pending;
  // Of limits that are over the outermost is raised.
  for (Pending* each = pending->next; each; each = each->next)
    if (each->limit && each->limit->begin < pending->limit->begin && is_due(all, box, *each))
      pending = each;
  return pending;
}

Pending* first_due_anywhere(const Interrupts& all, const Mailbox& box) {
  Pending* pending = first_due(all, box);
  if (!pending || !pending->frame) return pending;
  pending = box.first;
  while (pending && !is_due_anywhere(all, box, *pending)) pending = pending->next;
  return pending;
}

/// What somebody else has told the interpreter to raise in that thread, to go first: null: nothing,
/// or it cannot be had. Not under Guard.
Pending* adopt(Interrupts& all, Ident ident) {
  PyObject* theirs = nullptr;
  {
    const Guard guard;
    theirs = const_cast<PyObject*>(async_exception_of(all, ident));
    const Mailbox* const box = find_mailbox(all, ident);
    if (box && box->told && box->told->async_class->told == theirs) theirs = nullptr;
    Py_XINCREF(theirs);
  }
  if (!theirs) return nullptr;
  auto* const adopted = new (std::nothrow) Pending;
  if (!adopted || !take_class(all, theirs, *adopted)) {
    PyErr_Clear();
    delete adopted;
    Py_DECREF(theirs);
    return nullptr;
  }
  adopted->kind = Kind::adopted;
  adopted->exception = theirs;
  return adopted;
}

/// Puts an error behind another, and all that were under way when that came.
void add_context(PyObject* error, PyObject* earlier) {
  constexpr int longest = 1000;  // somebody may have made a circle of them
  PyObject* last = Py_NewRef(error);
  for (int length = 0; length < longest; ++length) {
    PyObject* const next = PyException_GetContext(last);
    if (!next || next == earlier) {
      Py_XDECREF(next);
      break;
    }
    Py_DECREF(last);
    last = next;
  }
  if (last != earlier) PyException_SetContext(last, Py_NewRef(earlier));
  Py_DECREF(last);
}

/// Settles the interpreter, and raises `taken`. @return false: a Python error is set
bool raise_and_drop(Interrupts& all, Pending* taken, const char* what) {
  if (taken) settle_thread_nudge();
  // What was raised by that came first.
  PyObject *type = nullptr, *earlier = nullptr, *traceback = nullptr;
  if (!settle_interpreter(all)) {
    if (!taken) return false;
    PyErr_Fetch(&type, &earlier, &traceback);
    PyErr_NormalizeException(&type, &earlier, &traceback);
  }
  if (!taken) return true;
  PyObject* const made = taken->limit                   ? limit_error(*taken->limit, what)
                         : taken->kind == Kind::adopted ? PyObject_CallNoArgs(taken->exception)
                                                        : Py_NewRef(taken->exception);
  if (made && PyExceptionInstance_Check(made)) {
    PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(made)), made);
    // To raise it has given it the context that it is raised in.
    if (earlier) add_context(made, earlier);
    Py_DECREF(made);
  } else if (made) {
    PyErr_Format(PyExc_TypeError, "calling %R should have returned an instance of BaseException",
                 taken->exception);
    Py_DECREF(made);
  }
  Py_XDECREF(type);
  Py_XDECREF(earlier);
  Py_XDECREF(traceback);
  drop(all, taken);
  return false;
}

/// Takes the first that is due out of this thread's mailbox.
Pending* take_first(Interrupts& all, Mailbox& box, Gone& gone) {
  refresh(all, box, gone);
  expire(all, box, os::now());
  suspend(all, box, gone);
  Pending* const taken = first_due(all, box);
  if (!taken) return nullptr;
  untell(all, box, gone);
  box.remove(taken);
  all.account.raised += taken->kind == Kind::sent;
  if (taken->limit) {
    taken->limit->was_raised = true;
    let_unwind(box, *taken->limit, gone);
  }
  tell(all, box);
  return taken;
}

/// A start that has failed, and that this thread waits for: raised also while it holds interrupts
/// off, since nothing else can end its wait. @return false: a Python error is set
bool raise_failed_start(Interrupts& all) {
  Pending* failed = nullptr;
  {
    const Guard guard;
    Mailbox* const box = find_mailbox(all, get_ident());
    failed = box ? box->first : nullptr;
    while (failed && failed->kind != Kind::start_failure) failed = failed->next;
    if (!failed) return true;
    box->remove(failed);
  }
  const Start start = start_of(PyThreadState_Get(), failed->thread);
  if (start == Start::waited_for) {
    raise_start_failure(Py_XNewRef(failed->exception));
    drop(all, failed);
    return false;
  }
  if (start == Start::left) {
    tell_start_failure(failed->thread, failed->exception);
    drop(all, failed);
    return true;
  }
  const Guard guard;
  if (Mailbox* const box = find_mailbox(all, get_ident())) box->append(failed);
  return true;
}

bool has_due(Interrupts& all) {
  const Guard guard;
  const Mailbox* const box = find_mailbox(all, get_ident());
  return box && first_due(all, *box);
}

/// Tells this thread of the first that is due.
void tell_own(Interrupts& all) {
  Gone gone(all);
  bool is_left_over = false;
  {
    const Guard guard;
    if (Mailbox* const box = own_mailbox(all, gone)) {
      refresh(all, *box, gone);
      tell(all, *box);
      is_left_over = plan_look(all, *box);
    }
  }
  gone.drop_all();
  if (is_left_over) call_timekeeper();
}

/// For snapshots: whether the thread of a record holds interrupts off. A number that nobody else of
/// the extension reads.
void show_hold(lot::ThreadRecord* record, bool holds) {
  if (record) record->interrupts_held.store(holds ? 1 : 0, std::memory_order_relaxed);
}

}  // namespace

void refresh(Interrupts& all, Mailbox& box, Gone& gone) {
  Pending* const told = box.told;
  if (!told) return;
  if (tells(all, box)) return;
  box.told = nullptr;
  box.remove(told);
  told->delivery = is_on_its_way(*told->async_class) ? Delivery::not_made : Delivery::overwritten;
  all.account.overwritten += told->delivery == Delivery::overwritten && told->kind == Kind::sent;
  gone.add(told);
}

bool has_left_over(const Interrupts& all, const Mailbox& box) {
  if (all.is_ended || is_main(all, box.ident)) return false;
  for (const Pending* each = box.first; each; each = each->next)
    if (each != box.told && is_due_anywhere(all, box, *each)) return true;
  return false;
}

bool plan_look(const Interrupts& all, Mailbox& box) {
  if (!has_left_over(all, box)) {
    box.look_at = lot::never;
    return false;
  }
  if (box.look_at != lot::never) return false;
  box.looked_for_since = os::now();
  box.look_at = box.looked_for_since + first_pause;
  return true;
}

bool tell(Interrupts& all, Mailbox& box) {
  if (box.held > 0 || all.is_ended || is_main(all, box.ident)) return true;
  Pending* const pending = box.told ? box.told : first_due_anywhere(all, box);
  if (!pending || !pending->async_class) return true;
#if UNDERTHREAD_HAS_GIL
  if (box.told) return true;
  // Somebody else's is raised first. `send` has adopted it; a limit is looked after again.
  const PyObject* const there = async_exception_of(all, box.ident);
  if (there && there != pending->async_class->told) return true;
#endif
  pending->delivery = Delivery::told;
  box.told = pending;
  if (PyThreadState_SetAsyncExc(box.ident, pending->async_class->told) > 0) return true;
  pending->delivery = Delivery::queued;
  box.told = nullptr;
  return false;
}

void untell(Interrupts& all, Mailbox& box, Gone& gone) {
  refresh(all, box, gone);
  if (!box.told) return;
  PyThreadState_SetAsyncExc(box.ident, nullptr);
  all.has_withdrawn = true;
  box.told->delivery = Delivery::queued;
  box.told = nullptr;
}

void fill(const Pending& pending) {
  AsyncClass* const it = pending.async_class;
  if (!it) return;
  it->user = &pending;
  it->kind = pending.kind;
  it->exception = Py_XNewRef(pending.exception);
  it->limit = pending.limit;
}

void wake(Interrupts& all, Ident ident) {
  lot::ThreadRecord* const thread =
      lot::find(ident, [](lot::ThreadRecord& record) { lot::interrupt(record); });
  if (thread) nudge_thread(all, ident, *thread);
}

bool send(Interrupts& all, Ident ident, PyObject* exception, lot::Callback<bool()> is_meant) {
  const bool to_main = is_main(all, ident);
  auto* const sent = new (std::nothrow) Pending;
  if (!sent) {
    PyErr_NoMemory();
    return false;
  }
  sent->exception = Py_NewRef(exception);
  if (!to_main && !take_class(all, exception, *sent)) {
    drop(all, sent);
    return false;
  }
  Pending* adopted = to_main ? nullptr : adopt(all, ident);

  Gone gone(all);
  bool is_accepted = false;
  bool has_memory = true;
  bool is_left_over = false;
  // From here on to the end of the section no other thread has the GIL.
  const bool is_there = is_meant() && has_thread(all, ident);
  if (is_there) {
    const Guard guard;
    Mailbox* const box = all.is_ended ? nullptr : mailbox_of(all, ident, gone);
    has_memory = box || all.is_ended;
    if (box) {
      refresh(all, *box, gone);
      box->append(sent);
      fill(*sent);
      if (adopted && async_exception_of(all, ident) == adopted->exception) {
        fill(*adopted);
        // It takes the place of theirs in the interpreter, and is the same.
        if (PyThreadState_SetAsyncExc(ident, adopted->async_class->told) > 0) {
          adopted->next = box->first;
          box->first = box->told = adopted;
          adopted->delivery = Delivery::told;
          adopted = nullptr;
        }
      }
      is_accepted = tell(all, *box);
      is_left_over = plan_look(all, *box);
      if (!is_accepted) {
        box->remove(sent);
        delete_if_idle(all, box);
      }
      all.account.accepted += is_accepted;
    }
  }
  gone.drop_all();
  if (adopted) drop(all, adopted);
  if (!is_accepted) {
    drop(all, sent);
    if (!has_memory) PyErr_NoMemory();
    return false;
  }
  if (to_main)
    tell_main_thread();
  else
    wake(all, ident);
  if (is_left_over) call_timekeeper();
  return true;
}

bool hold(Interrupts& all, bool& is_first) {
  Gone gone(all);
  Mailbox* box = nullptr;
  {
    const Guard guard;
    box = mailbox_of(all, get_ident(), gone);
    if (box) {
      untell(all, *box, gone);
      is_first = box->held++ == 0;
    }
  }
  gone.drop_all();
  settle_thread_nudge();
  if (is_first) show_hold(lot::current(), true);
  if (!box) PyErr_NoMemory();
  return box != nullptr;
}

bool release(Interrupts& all) {
  Gone gone(all);
  bool is_last = false;
  {
    const Guard guard;
    Mailbox* const box = own_mailbox(all, gone);
    if (box && box->held > 0) {
      is_last = --box->held == 0;
      if (is_last) suspend(all, *box, gone);
      delete_if_idle(all, box);
    }
  }
  gone.drop_all();
  if (is_last) show_hold(lot::current(), false);
  return is_last;
}

bool release_for(Interrupts& all, Ident ident, std::uint32_t holder) {
  Gone gone(all);
  bool is_last = false;
  bool is_left_over = false;
  {
    const Guard guard;
    Mailbox* const box = find_mailbox(all, ident);
    if (!box || box->held == 0 || (box->holder != 0 && box->holder != holder)) return false;
    is_last = --box->held == 0;
    if (is_last) {
      suspend(all, *box, gone);
      refresh(all, *box, gone);
      tell(all, *box);
      is_left_over = plan_look(all, *box);
    }
    delete_if_idle(all, box);
  }
  gone.drop_all();
  if (is_last && lot::is_alive(holder)) show_hold(lot::record_of(holder), false);
  if (is_last && is_main(all, ident))
    tell_main_thread();
  else if (is_last)
    wake(all, ident);
  if (is_left_over) call_timekeeper();
  return is_last;
}

bool is_held(Interrupts& all) {
  Gone gone(all);
  bool is = false;
  {
    const Guard guard;
    const Mailbox* const box = own_mailbox(all, gone);
    is = box && box->held > 0;
  }
  gone.drop_all();
  return is;
}

bool is_held_by(Interrupts& all, Ident ident, std::uint32_t holder) {
  const Guard guard;
  const Mailbox* const box = find_mailbox(all, ident);
  return box && box->held > 0 && (box->holder == 0 || box->holder == holder);
}

bool raise_due(Interrupts& all, const char* what) {
  if (what && !raise_failed_start(all)) return false;
  Gone gone(all);
  Pending* taken = nullptr;
  bool has_mailbox = false;
  bool is_left_over = false;
  {
    const Guard guard;
    if (Mailbox* const box = own_mailbox(all, gone)) {
      has_mailbox = true;
      taken = take_first(all, *box, gone);
      is_left_over = plan_look(all, *box);
      delete_if_idle(all, box);
    }
  }
  gone.drop_all();
  if (!has_mailbox) return true;
  if (is_left_over) call_timekeeper();
  // What is left is for the next check.
  if (taken && is_main(all, get_ident()) && has_due(all)) tell_main_thread();
  return raise_and_drop(all, taken, what);
}

bool send_start_failure(Interrupts& all, Ident ident, Pending& pending) {
  Gone gone(all);
  if (!is_starting(all, ident, pending.thread)) return false;
  bool is_sent = false;
  {
    const Guard guard;
    Mailbox* const box = all.is_ended ? nullptr : mailbox_of(all, ident, gone);
    is_sent = box != nullptr;
    if (box) box->append(&pending);
  }
  gone.drop_all();
  if (is_sent) lot::find(ident, [](lot::ThreadRecord& record) { lot::interrupt(record); });
  return is_sent;
}

bool take_made(Interrupts& all, AsyncClass& it, bool held_off) {
  Gone gone(all);
  bool is_left_over = false;
  bool is_taken = false;
  {
    const Guard guard;
    Mailbox* const box = own_mailbox(all, gone);
    if (box && box->told && box->told->async_class == &it) {
      Pending* const made = box->told;
#if !UNDERTHREAD_HAS_GIL
      // It may have been told once more meanwhile.
      if (async_exception_of(all, box->ident) == it.told)
        PyThreadState_SetAsyncExc(box->ident, nullptr);
#endif
      box->told = nullptr;
      box->remove(made);
      gone.add(made);
      is_taken = true;
      if (made->limit) let_unwind(*box, *made->limit, gone);
      if (held_off) ++box->held;
      tell(all, *box);
      is_left_over = plan_look(all, *box);
      delete_if_idle(all, box);
    }
  }
  settle_thread_nudge();
  gone.drop_all();
  if (is_left_over) call_timekeeper();
  return is_taken;
}

void end_making(Interrupts& all) {
  if (release(all)) tell_own(all);
}

bool leave_all_blocks(Interrupts& all) {
  Gone gone(all);
  bool was_held = false;
  {
    const Guard guard;
    if (Mailbox* const box = own_mailbox(all, gone)) {
      was_held = box->held > 0;
      untell(all, *box, gone);
      empty(all, *box, gone);
      delete_if_idle(all, box);
    }
  }
  gone.drop_all();
  return was_held;
}

void keep_own_mailbox(Interrupts& all) {
  Gone gone(all);
  {
    const Guard guard;
    const Ident me = get_ident();
    Mailbox* own = nullptr;
    while (Mailbox* const box = all.mailboxes) {
      all.mailboxes = box->next;
      if (box->ident == me && !own) {
        own = box;
        continue;
      }
      empty(all, *box, gone);
      delete box;
    }
    if (own) {
      own->next = nullptr;
      const lot::ThreadRecord* const record = lot::current();
      own->holder = record ? record->holder : 0;
      own->state_number = state_number(all, me);
      all.mailboxes = own;
      untell(all, *own, gone);
      Pending* each = own->first;
      own->first = nullptr;
      own->look_at = lot::never;
      while (each) {
        Pending* const next = each->next;
        if (each->kind == Kind::limit) {
          // Its block goes on here as well, and its time is up.
          each->limit->look_at = os::now();
          own->add_limit(each->limit);
        }
        gone.add(each);
        each = next;
      }
      for (TimeLimit* limit = own->blocks; limit; limit = limit->next_block)
        limit->holder = own->holder;
      delete_if_idle(all, own);
    }
    all.account = {};
  }
  gone.drop_all();
}

}  // namespace underthread::python
