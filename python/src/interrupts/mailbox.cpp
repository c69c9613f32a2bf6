#include "interrupts/mailbox.h"

#include <underthread/lot/wait.h>

#include <algorithm>
#include <new>

#include "interrupts/async_exception.h"
#include "interrupts/guard.h"
#include "interrupts/interrupts.h"
#include "interrupts/limit.h"
#include "interrupts/main_thread.h"
#include "interrupts/thread_nudge.h"
#include "lot/thread_record.h"
#include "os/futex.h"

namespace underthread::python {
namespace {

std::uint32_t holder_of(Ident ident) {
  if (ident == get_ident()) {
    const lot::ThreadRecord* const me = lot::current();
    return me ? me->holder : 0;
  }
  std::uint32_t holder = 0;
  lot::find(ident, [&](lot::ThreadRecord& record) { holder = record.holder; });
  return holder;
}

/// Whether a frame is on the stack of a thread. Without a GIL another's cannot be looked at; the
/// main thread is told, and looks itself.
bool may_run(const Interrupts& all, const Mailbox& box, PyObject* frame) {
#if UNDERTHREAD_HAS_GIL
  return has_frame(all, box.ident, frame);
#else
  return box.ident == get_ident() ? has_frame(all, box.ident, frame) : is_main(all, box.ident);
#endif
}

}  // namespace

bool tells(const Interrupts& all, const Mailbox& box) {
#if !UNDERTHREAD_HAS_GIL
  // Another thread's state cannot be looked at. It is told once more: `tell`.
  if (box.ident != get_ident()) return true;
#endif
  return async_exception_of(all, box.ident) == box.told->async_class->told;
}

std::int64_t next_look(std::int64_t since, std::int64_t now) {
  return now + std::clamp(now - since, first_pause, longest_pause);
}

bool is_main(const Interrupts& all, Ident ident) {
  return all.interpreter == PyInterpreterState_Main() && ident == main_ident();
}

void Mailbox::append(Pending* pending) {
  Pending** end = &first;
  while (*end) end = &(*end)->next;
  *end = pending;
  pending->next = nullptr;
}

void Mailbox::remove(const Pending* pending) {
  Pending** place = &first;
  while (*place != pending) place = &(*place)->next;
  *place = pending->next;
}

void Mailbox::add_limit(TimeLimit* limit) {
  limit->next = limits;
  limit->place = &limits;
  if (limits) limits->place = &limit->next;
  limits = limit;
}

void Mailbox::remove_limit(TimeLimit* limit) {
  if (!limit->place) return;
  *limit->place = limit->next;
  if (limit->next) limit->next->place = limit->place;
  limit->place = nullptr;
}

void Mailbox::enter_block(TimeLimit* limit) {
  limit->next_block = blocks;
  limit->block_place = &blocks;
  if (blocks) blocks->block_place = &limit->next_block;
  blocks = limit;
}

void Mailbox::leave_block(TimeLimit* limit) {
  if (!limit->block_place) return;
  *limit->block_place = limit->next_block;
  if (limit->next_block) limit->next_block->block_place = limit->block_place;
  limit->block_place = nullptr;
}

void Gone::add(Pending* pending) {
  pending->next = first_;
  first_ = pending;
}

void Gone::drop_all() {
  while (Pending* const each = first_) {
    first_ = each->next;
    drop(all_, each);
  }
}

Mailbox* find_mailbox(const Interrupts& all, Ident ident) {
  Mailbox* box = all.mailboxes;
  while (box && box->ident != ident) box = box->next;
  return box;
}

void delete_if_idle(Interrupts& all, Mailbox* box) {
  if (box->first || box->held > 0 || box->blocks) return;
  Mailbox** place = &all.mailboxes;
  while (*place != box) place = &(*place)->next;
  *place = box->next;
  delete box;
}

void empty(Interrupts& all, Mailbox& box, Gone& gone) {
  box.held = 0;
  box.told = nullptr;
  while (Pending* const pending = box.first) {
    box.first = pending->next;
    all.account.dropped += pending->kind == Kind::sent;
    gone.add(pending);
  }
  while (TimeLimit* const limit = box.limits) box.remove_limit(limit);
  while (TimeLimit* const limit = box.blocks) {
    box.leave_block(limit);
    limit->state = TimeLimit::idle;
    limit->ident = 0;
  }
}

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

Mailbox* own_mailbox(Interrupts& all, Gone& gone) {
  Mailbox* const box = find_mailbox(all, get_ident());
  if (!box || !is_anothers(all, *box)) return box;
  empty(all, *box, gone);
  delete_if_idle(all, box);
  return nullptr;
}

Mailbox* mailbox_of(Interrupts& all, Ident ident, Gone& gone) {
  // A thread that comes here by itself has a record from now on.
  if (ident == get_ident()) lot::current();
  Mailbox* box = find_mailbox(all, ident);
  if (box && is_anothers(all, *box)) {
    empty(all, *box, gone);
    delete_if_idle(all, box);
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

void expire(Interrupts& all, Mailbox& box, std::int64_t now) {
  const bool is_own = box.ident == get_ident();
  for (TimeLimit *each = box.limits, *next = nullptr; each; each = next) {
    next = each->next;
    // A task that is suspended is cancelled by its loop; there may be very many.
    const bool at_once = is_own && !(each->state == TimeLimit::over && each->task);
    if (std::max(at_once ? each->deadline : each->look_at, each->not_before) > now) continue;
    each->expired = true;
    each->state = TimeLimit::over;
    if (each->frame && !may_run(all, box, each->frame)) {
      if (each->look_at <= now) each->look_at = next_look(each->deadline, now);
      continue;
    }
    box.remove_limit(each);
    if (!keep(*each)) continue;
    each->pending.delivery = Delivery::queued;
    box.append(&each->pending);
  }
}

void suspend(Interrupts& all, Mailbox& box, Gone& gone) {
  const std::int64_t now = os::now();
  for (Pending *each = box.first, *next = nullptr; each; each = next) {
    next = each->next;
    if (!each->frame || each == box.told || has_frame(all, box.ident, each->frame)) continue;
    box.remove(each);
    each->limit->look_at = next_look(each->limit->deadline, now);
    box.add_limit(each->limit);
    gone.add(each);
  }
}

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

void forget_mailbox(Interrupts& all) {
  settle_thread_nudge();
  Gone gone(all);
  {
    const Guard guard;
    Mailbox* const box = find_mailbox(all, get_ident());
    if (!box) return;
    empty(all, *box, gone);
    delete_if_idle(all, box);
  }
  gone.drop_all();
}

void forget_told() {
  PyThreadState* const state = PyGILState_GetThisThreadState();
  const Interrupts* const all = main_interrupts();
  if (!state || !all || state->interp != all->interpreter) return;
  const Mailbox* const box = find_mailbox(*all, get_ident());
  // Its reference stays with the class.
  if (box && box->told && async_exception_of(state) == box->told->async_class->told)
    state->async_exc = nullptr;
}

void forget_mailboxes(Interrupts& all) {
  Gone gone(all);
  {
    const Guard guard;
    while (Mailbox* const box = all.mailboxes) {
      all.mailboxes = box->next;
      // The interpreter has only the class, and what that is to give goes now.
      if (box->told && tells(all, *box)) PyThreadState_SetAsyncExc(box->ident, nullptr);
      empty(all, *box, gone);
      delete box;
    }
  }
  gone.drop_all();
}

}  // namespace underthread::python
