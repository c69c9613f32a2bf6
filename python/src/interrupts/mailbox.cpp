#include "interrupts/mailbox.h"

#include <underthread/lot/wait.h>

#include <algorithm>
#include <new>

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

/// What nobody can be told of yet is looked after again after this, ns, and then each time when as
/// much time again has gone by: it is told at most twice as late, and what never comes costs
/// nothing in the end.
constexpr std::int64_t first_pause = 10'000'000;

std::int64_t next_look(std::int64_t since, std::int64_t now) {
  return now + std::max(first_pause, now - since);
}

std::uint32_t holder_of(Ident ident) {
  if (ident == get_ident()) {
    const lot::ThreadRecord* const me = lot::current();
    return me ? me->holder : 0;
  }
  std::uint32_t holder = 0;
  lot::find(ident, [&](lot::ThreadRecord& record) { holder = record.holder; });
  return holder;
}

bool is_main(const Interrupts& all, Ident ident) {
  return all.interpreter == PyInterpreterState_Main() && ident == main_ident();
}

/// Pendings that have left their mailbox and are to be dropped outside of Guard.
class Gone {
 public:
  explicit Gone(Interrupts& all) : all_(all) {}
  Gone(const Gone&) = delete;
  Gone& operator=(const Gone&) = delete;
  void add(Pending* pending) {
    pending->next = first_;
    first_ = pending;
  }
  void drop_all() {
    while (Pending* const each = first_) {
      first_ = each->next;
      drop(all_, each);
    }
  }

 private:
  Interrupts& all_;
  Pending* first_ = nullptr;
};

Mailbox* find(const Interrupts& all, Ident ident) {
  Mailbox* box = all.mailboxes;
  while (box && box->ident != ident) box = box->next;
  return box;
}

void unlink(Mailbox& box, const Pending* pending) {
  Pending** place = &box.first;
  while (*place != pending) place = &(*place)->next;
  *place = pending->next;
}

void append(Mailbox& box, Pending* pending) {
  Pending** end = &box.first;
  while (*end) end = &(*end)->next;
  *end = pending;
  pending->next = nullptr;
}

void unlist(Mailbox& box, const TimeLimit* limit) {
  TimeLimit** place = &box.limits;
  while (*place && *place != limit) place = &(*place)->next;
  if (*place) *place = limit->next;
}

void leave_block(Mailbox& box, const TimeLimit* limit) {
  TimeLimit** place = &box.blocks;
  while (*place && *place != limit) place = &(*place)->next_block;
  if (*place) *place = limit->next_block;
}

void list(Mailbox& box, TimeLimit* limit) {
  limit->next = box.limits;
  box.limits = limit;
}

/// Takes a mailbox out of the list if nothing is in it.
void unlink_if_idle(Interrupts& all, Mailbox* box) {
  if (box->first || box->held > 0 || box->blocks) return;
  Mailbox** place = &all.mailboxes;
  while (*place != box) place = &(*place)->next;
  *place = box->next;
  delete box;
}

/// The thread that the mailbox is of has ended.
void empty(Interrupts& all, Mailbox& box, Gone& gone) {
  box.held = 0;
  box.told = nullptr;
  while (Pending* const pending = box.first) {
    box.first = pending->next;
    all.account.dropped += pending->kind == Kind::sent;
    gone.add(pending);
  }
  box.limits = nullptr;
  while (TimeLimit* const limit = box.blocks) {
    box.blocks = limit->next_block;
    limit->state = TimeLimit::idle;
    limit->ident = 0;
  }
}

/// Whether a mailbox is another thread's than the one that has its ident now; what is known of that
/// one is added to it.
bool is_anothers(const Interrupts& all, Mailbox& box) {
  const std::uint32_t holder = holder_of(box.ident);
  const std::uint64_t number = state_number(all, box.ident);
  // A record may come late, and then it is the same thread.
  if ((box.holder != 0 && holder != 0 && box.holder != holder) ||
      (box.state_number != 0 && number != 0 && box.state_number != number) ||
      (box.holder != 0 && !lot::is_alive(box.holder)))
    return true;
  if (box.holder == 0) box.holder = holder;
  if (box.state_number == 0) box.state_number = number;
  return false;
}

/// This thread's; null: it has none. One that a thread of the same ident has left behind, whose end
/// nobody told us of, is emptied.
Mailbox* find_own(Interrupts& all, Gone& gone) {
  Mailbox* const box = find(all, get_ident());
  if (!box || !is_anothers(all, *box)) return box;
  empty(all, *box, gone);
  unlink_if_idle(all, box);
  return nullptr;
}

/// Null: no memory.
Mailbox* find_or_make(Interrupts& all, Ident ident, Gone& gone) {
  // A thread that comes here by itself has a record from now on.
  if (ident == get_ident()) lot::current();
  Mailbox* box = find(all, ident);
  if (box && is_anothers(all, *box)) {
    empty(all, *box, gone);
    unlink_if_idle(all, box);
    box = nullptr;
  }
  if (box) return box;
  box = new (std::nothrow) Mailbox{};
  if (!box) return nullptr;
  box->ident = ident;
  box->holder = holder_of(ident);
  box->state_number = state_number(all, ident);
  box->look_at = lot::never;
  box->next = all.mailboxes;
  all.mailboxes = box;
  return box;
}

/// What the interpreter has been told is no longer to be found there: it is being made, or somebody
/// else has told it something else.
void refresh(Interrupts& all, Mailbox& box, Gone& gone) {
  Pending* const told = box.told;
  if (!told) return;
#if UNDERTHREAD_HAS_GIL
  const bool is_known = true;
#else
  // Another thread's state cannot be looked at. It is told once more: `tell`.
  const bool is_known = box.ident == get_ident();
#endif
  if (!is_known || async_exception_of(all, box.ident) == told->async_class->told) return;
  box.told = nullptr;
  unlink(box, told);
  told->delivery = is_on_its_way(*told->async_class) ? Delivery::not_made : Delivery::overwritten;
  all.account.overwritten += told->delivery == Delivery::overwritten && told->kind == Kind::sent;
  gone.add(told);
}

/// Whether a limit outside of this one has been raised, and is on its way out of its block: another
/// on top of it would hide it.
bool is_outer_raised(const Mailbox& box, const TimeLimit& limit) {
  for (const TimeLimit* each = box.blocks; each; each = each->next_block)
    if (each != &limit && each->was_raised && each->begin <= limit.begin) return true;
  return false;
}

/// Whether a Pending may be raised in its thread now.
bool is_due(const Interrupts& all, const Mailbox& box, const Pending& pending) {
  if (pending.kind == Kind::start_failure || box.held > 0) return false;
  if (pending.limit && is_outer_raised(box, *pending.limit)) return false;
  return !pending.frame || has_frame(all, box.ident, pending.frame);
}

/// Whether it may be raised wherever its thread comes to next, without another look. A generator
/// may be suspended on the way there.
bool is_due_anywhere(const Interrupts& all, const Mailbox& box, const Pending& pending) {
  return !pending.frame && is_due(all, box, pending);
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

/// Whether something is queued that its thread will not come to by itself: behind one that it, or
/// somebody else, has told the interpreter, which may never call us for that. The main thread comes
/// to all that is queued.
bool has_left_over(const Interrupts& all, const Mailbox& box) {
  if (all.is_ended || is_main(all, box.ident)) return false;
  for (const Pending* each = box.first; each; each = each->next)
    if (each != box.told && is_due_anywhere(all, box, *each)) return true;
  return false;
}

/// Says when the timekeeper is to look at the mailbox again. @return whether it is to be told:
/// `call_timekeeper`
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

/// A limit that is over, and is in the queue, while its block's frame is suspended is looked after
/// again, as those that were suspended when they were over.
void suspend(Interrupts& all, Mailbox& box, Gone& gone) {
  const std::int64_t now = os::now();
  for (Pending *each = box.first, *next = nullptr; each; each = next) {
    next = each->next;
    if (!each->frame || has_frame(all, box.ident, each->frame)) continue;
    unlink(box, each);
    each->limit->look_at = next_look(each->limit->deadline, now);
    list(box, each->limit);
    gone.add(each);
  }
}

/// Tells the interpreter of the first that is due, unless it has been told of one. The main thread
/// is told by `tell_main_thread`, outside of Guard. @return false: there is no such thread
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

/// In the thread itself: the interpreter is not to raise what it has been told; what somebody else
/// has told it stays.
void untell(Interrupts& all, Mailbox& box, Gone& gone) {
  refresh(all, box, gone);
  if (!box.told) return;
  PyThreadState_SetAsyncExc(box.ident, nullptr);
  box.told->delivery = Delivery::queued;
  box.told = nullptr;
}

/// Puts the limits that are over into the queue, but for those whose frame is suspended.
void expire(Interrupts& all, Mailbox& box, std::int64_t now) {
  // Those that were over first go first.
  for (;;) {
    TimeLimit* over = nullptr;
    for (TimeLimit* each = box.limits; each; each = each->next) {
      if (each->look_at > now || (over && over->deadline <= each->deadline)) continue;
      over = each;
    }
    if (!over) return;
    over->expired = true;
    over->state = TimeLimit::over;
    if (over->frame && !has_frame(all, box.ident, over->frame)) {
      over->look_at = next_look(over->deadline, now);
      continue;
    }
    unlist(box, over);
    if (!keep(*over)) continue;
    over->pending.delivery = Delivery::queued;
    append(box, &over->pending);
  }
}

/// Puts an exception, for which nobody has been told yet, where its class finds it.
void fill(const Pending& pending) {
  AsyncClass* const it = pending.async_class;
  if (!it) return;
  it->user = &pending;
  it->kind = pending.kind;
  it->exception = Py_XNewRef(pending.exception);
  it->limit = pending.limit;
}

/// What somebody else has told the interpreter to raise in that thread, to go first: null: nothing,
/// or it cannot be had. Not under Guard.
Pending* adopt(Interrupts& all, Ident ident) {
  Interrupts& here = all;
  PyObject* theirs = nullptr;
  {
    const Guard guard;
    theirs = const_cast<PyObject*>(async_exception_of(here, ident));
    const Mailbox* const box = find(all, ident);
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

/// Ends the thread's wait, if it is in one of ours, or its system call, if the interpreter would
/// raise there.
void wake(Ident ident) {
  lot::ThreadRecord* const thread =
      lot::find(ident, [](lot::ThreadRecord& record) { lot::interrupt(record); });
  if (thread) nudge_thread(*thread);
}

/// Takes the reference.
void raise_instance(PyObject* instance) {
  PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(instance)), instance);
  Py_DECREF(instance);
}

/// @return false: a Python error is set
bool raise_and_drop(Interrupts& all, Pending* taken, const char* what) {
  if (!taken) return true;
  PyObject* const made = taken->limit                   ? limit_error(*taken->limit, what)
                         : taken->kind == Kind::adopted ? PyObject_CallNoArgs(taken->exception)
                                                        : Py_NewRef(taken->exception);
  if (made && PyExceptionInstance_Check(made)) {
    raise_instance(made);
  } else if (made) {
    PyErr_Format(PyExc_TypeError, "calling %R should have returned an instance of BaseException",
                 taken->exception);
    Py_DECREF(made);
  }
  drop(all, taken);
  return false;
}

/// Takes the first that is due out of this thread's mailbox.
Pending* take_first(Interrupts& all, Mailbox& box, Gone& gone) {
  refresh(all, box, gone);
  expire(all, box, os::now());
  Pending* const taken = first_due(all, box);
  if (!taken) return nullptr;
  untell(all, box, gone);
  unlink(box, taken);
  all.account.raised += taken->kind == Kind::sent;
  if (taken->limit) taken->limit->was_raised = true;
  tell(all, box);
  return taken;
}

/// A start that has failed, and that this thread waits for: raised also while it holds interrupts
/// off, since nothing else can end its wait. @return false: a Python error is set
bool raise_failed_start(Interrupts& all) {
  Pending* failed = nullptr;
  {
    const Guard guard;
    Mailbox* const box = find(all, get_ident());
    failed = box ? box->first : nullptr;
    while (failed && failed->kind != Kind::start_failure) failed = failed->next;
    if (!failed) return true;
    unlink(*box, failed);
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
  if (Mailbox* const box = find(all, get_ident())) append(*box, failed);
  return true;
}

bool has_due(Interrupts& all) {
  const Guard guard;
  const Mailbox* const box = find(all, get_ident());
  return box && first_due(all, *box);
}

/// Tells this thread of the first that is due.
void tell_own(Interrupts& all) {
  Gone gone(all);
  bool is_left_over = false;
  {
    const Guard guard;
    Mailbox* const box = find_own(all, gone);
    if (!box) return;
    refresh(all, *box, gone);
    tell(all, *box);
    is_left_over = plan_look(all, *box);
  }
  gone.drop_all();
  if (is_left_over) call_timekeeper();
}

}  // namespace

void drop(Interrupts&, Pending* pending) {
  Py_CLEAR(pending->exception);
  if (pending->kind == Kind::limit) {
    // Part of the limit, which keeps the rest for the next time.
    Py_DECREF(reinterpret_cast<PyObject*>(pending->limit));
    return;
  }
  Py_CLEAR(pending->thread);
  give_back(*pending);
  delete pending;
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
    Mailbox* const box = all.is_ended ? nullptr : find_or_make(all, ident, gone);
    has_memory = box || all.is_ended;
    if (box) {
      refresh(all, *box, gone);
      append(*box, sent);
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
        unlink(*box, sent);
        unlink_if_idle(all, box);
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
    wake(ident);
  if (is_left_over) call_timekeeper();
  return true;
}

bool hold(Interrupts& all, bool& is_first) {
  Gone gone(all);
  Mailbox* box = nullptr;
  {
    const Guard guard;
    box = find_or_make(all, get_ident(), gone);
    if (box) {
      untell(all, *box, gone);
      is_first = box->held++ == 0;
    }
  }
  gone.drop_all();
  if (!box) PyErr_NoMemory();
  return box != nullptr;
}

bool release(Interrupts& all) {
  Gone gone(all);
  bool is_last = false;
  {
    const Guard guard;
    Mailbox* const box = find_own(all, gone);
    if (!box || box->held == 0) return false;
    is_last = --box->held == 0;
    if (is_last) suspend(all, *box, gone);
    unlink_if_idle(all, box);
  }
  gone.drop_all();
  return is_last;
}

bool release_for(Interrupts& all, Ident ident, std::uint32_t holder) {
  Gone gone(all);
  bool is_last = false;
  bool is_left_over = false;
  {
    const Guard guard;
    Mailbox* const box = find(all, ident);
    if (!box || box->held == 0 || (box->holder != 0 && box->holder != holder)) return false;
    is_last = --box->held == 0;
    if (is_last) {
      suspend(all, *box, gone);
      refresh(all, *box, gone);
      tell(all, *box);
      is_left_over = plan_look(all, *box);
    }
    unlink_if_idle(all, box);
  }
  gone.drop_all();
  if (is_last && is_main(all, ident))
    tell_main_thread();
  else if (is_last)
    wake(ident);
  if (is_left_over) call_timekeeper();
  return is_last;
}

bool is_held(Interrupts& all) {
  Gone gone(all);
  bool is = false;
  {
    const Guard guard;
    const Mailbox* const box = find_own(all, gone);
    is = box && box->held > 0;
  }
  gone.drop_all();
  return is;
}

bool is_held_by(Interrupts& all, Ident ident, std::uint32_t holder) {
  const Guard guard;
  const Mailbox* const box = find(all, ident);
  return box && box->held > 0 && (box->holder == 0 || box->holder == holder);
}

bool raise_due(Interrupts& all, const char* what) {
  if (what && !raise_failed_start(all)) return false;
  Gone gone(all);
  Pending* taken = nullptr;
  bool is_left_over = false;
  {
    const Guard guard;
    Mailbox* const box = find_own(all, gone);
    if (!box) return true;
    taken = take_first(all, *box, gone);
    is_left_over = plan_look(all, *box);
    unlink_if_idle(all, box);
  }
  gone.drop_all();
  if (is_left_over) call_timekeeper();
  // What is left is for the next check.
  if (taken && is_main(all, get_ident()) && has_due(all)) tell_main_thread();
  return raise_and_drop(all, taken, what);
}

std::int64_t next_limit(Interrupts& all) {
  Gone gone(all);
  std::int64_t next = lot::never;
  {
    const Guard guard;
    const Mailbox* const box = find_own(all, gone);
    if (box && box->held == 0)
      for (const TimeLimit* each = box->limits; each; each = each->next)
        next = std::min(next, each->look_at);
  }
  gone.drop_all();
  return next;
}

bool send_start_failure(Interrupts& all, Ident ident, Pending& pending) {
  Gone gone(all);
  if (!is_starting(all, ident, pending.thread)) return false;
  bool is_sent = false;
  {
    const Guard guard;
    Mailbox* const box = all.is_ended ? nullptr : find_or_make(all, ident, gone);
    is_sent = box != nullptr;
    if (box) append(*box, &pending);
  }
  gone.drop_all();
  if (is_sent) lot::find(ident, [](lot::ThreadRecord& record) { lot::interrupt(record); });
  return is_sent;
}

bool enter(Interrupts& all, TimeLimit& limit) {
  Gone gone(all);
  const Ident me = get_ident();
  bool is_listed = false;
  {
    const Guard guard;
    Mailbox* const box = find_or_make(all, me, gone);
    is_listed = box != nullptr;
    if (box) {
      limit.state = TimeLimit::running;
      limit.expired = false;
      limit.ident = me;
      limit.holder = box->holder;
      limit.look_at = limit.deadline;
      fill(limit.pending);
      list(*box, &limit);
      limit.next_block = box->blocks;
      box->blocks = &limit;
    }
  }
  gone.drop_all();
  if (!is_listed) PyErr_NoMemory();
  return is_listed;
}

void leave(Interrupts& all, TimeLimit& limit) {
  Gone gone(all);
  bool is_left_over = false;
  {
    const Guard guard;
    Mailbox* const box = find_own(all, gone);
    if (limit.state == TimeLimit::idle) return;
    limit.state = TimeLimit::idle;
    limit.ident = 0;
    if (!box) return;
    refresh(all, *box, gone);
    unlist(*box, &limit);
    leave_block(*box, &limit);
    Pending* each = box->first;
    while (each && each != &limit.pending) each = each->next;
    if (each) {
      if (box->told == each) untell(all, *box, gone);
      unlink(*box, each);
      gone.add(each);
    }
    tell(all, *box);
    is_left_over = plan_look(all, *box);
    unlink_if_idle(all, box);
  }
  gone.drop_all();
  if (is_left_over) call_timekeeper();
}

void abandon(Interrupts& all, TimeLimit& limit) {
  const Guard guard;
  if (limit.state == TimeLimit::idle) return;
  limit.state = TimeLimit::idle;
  if (Mailbox* const box = find(all, limit.ident)) {
    unlist(*box, &limit);
    leave_block(*box, &limit);
    unlink_if_idle(all, box);
  }
}

std::int64_t expire_limits(Interrupts& all, std::int64_t now) {
  Gone gone(all);
  bool is_mains = false;
  for (;;) {
    Ident told = 0;
    {
      const Guard guard;
      for (Mailbox *box = all.mailboxes, *next = nullptr; box && told == 0; box = next) {
        next = box->next;
        if (is_anothers(all, *box)) {
          empty(all, *box, gone);
          unlink_if_idle(all, box);
          continue;
        }
        const Pending* last = box->first;
        while (last && last->next) last = last->next;
        expire(all, *box, now);
        const bool has_new = last ? last->next != nullptr : box->first != nullptr;
        if (!has_new && box->look_at > now) continue;
        refresh(all, *box, gone);
        tell(all, *box);
        // Before the next look, which is for those that this one leaves.
        box->look_at =
            has_left_over(all, *box) ? next_look(box->looked_for_since, now) : lot::never;
        told = box->ident;
        is_mains = is_mains || is_main(all, told);
        unlink_if_idle(all, box);
      }
    }
    gone.drop_all();
    if (told == 0) break;
    if (!is_main(all, told)) wake(told);
  }
  if (is_mains) tell_main_thread();
  const Guard guard;
  return std::min(first_deadline(all, true), first_deadline(all, false));
}

std::int64_t first_deadline(const Interrupts& all, bool by_timekeeper) {
  std::int64_t first = lot::never;
  for (const Mailbox* box = all.mailboxes; box; box = box->next) {
    if (by_timekeeper) first = std::min(first, box->look_at);
    for (const TimeLimit* each = box->limits; each; each = each->next)
      if (each->by_timekeeper == by_timekeeper) first = std::min(first, each->look_at);
  }
  return first;
}

bool take_made(Interrupts& all, AsyncClass& it, bool held_off) {
  Gone gone(all);
  bool is_left_over = false;
  bool is_taken = false;
  {
    const Guard guard;
    Mailbox* const box = find_own(all, gone);
    if (box && box->told && box->told->async_class == &it) {
      Pending* const made = box->told;
#if !UNDERTHREAD_HAS_GIL
      // It may have been told once more meanwhile.
      if (async_exception_of(all, box->ident) == it.told)
        PyThreadState_SetAsyncExc(box->ident, nullptr);
#endif
      box->told = nullptr;
      unlink(*box, made);
      gone.add(made);
      is_taken = true;
      if (held_off) ++box->held;
      tell(all, *box);
      is_left_over = plan_look(all, *box);
      unlink_if_idle(all, box);
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

void forget_mailbox(Interrupts& all) {
  Gone gone(all);
  {
    const Guard guard;
    Mailbox* const box = find(all, get_ident());
    if (!box) return;
    empty(all, *box, gone);
    unlink_if_idle(all, box);
  }
  gone.drop_all();
}

void forget_told() {
  PyThreadState* const state = PyGILState_GetThisThreadState();
  const Interrupts* const all = main_interrupts();
  if (!state || !all || state->interp != all->interpreter) return;
  const Mailbox* const box = find(*all, get_ident());
  // Its reference stays with the class.
  if (box && box->told && async_exception_of(state) == box->told->async_class->told)
    state->async_exc = nullptr;
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
      own->holder = holder_of(me);
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
          list(*own, each->limit);
        }
        gone.add(each);
        each = next;
      }
      for (TimeLimit* limit = own->blocks; limit; limit = limit->next_block)
        limit->holder = own->holder;
      unlink_if_idle(all, own);
    }
    all.account = {};
  }
  gone.drop_all();
}

void forget_mailboxes(Interrupts& all) {
  Gone gone(all);
  {
    const Guard guard;
    while (Mailbox* const box = all.mailboxes) {
      all.mailboxes = box->next;
      empty(all, *box, gone);
      delete box;
    }
  }
  gone.drop_all();
}

}  // namespace underthread::python
