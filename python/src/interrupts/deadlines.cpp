#include "interrupts/deadlines.h"

#include <underthread/lot/wait.h>

#include <algorithm>

#include "interrupts/delivery.h"
#include "interrupts/guard.h"
#include "interrupts/interrupts.h"
#include "interrupts/limit.h"
#include "interrupts/main_thread.h"
#include "interrupts/timekeeper.h"

namespace underthread::python {

bool enter(Interrupts& all, TimeLimit& limit) {
  Gone gone(all);
  const Ident me = get_ident();
  bool is_listed = false;
  {
    const Guard guard;
    Mailbox* const box = mailbox_of(all, me, gone);
    is_listed = box != nullptr;
    if (box) {
      limit.state = TimeLimit::running;
      limit.expired = false;
      limit.ident = me;
      limit.holder = box->holder;
      limit.look_at = limit.deadline;
      fill(limit.pending);
      box->add_limit(&limit);
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
    Mailbox* const box = own_mailbox(all, gone);
    if (limit.state == TimeLimit::idle) return;
    limit.state = TimeLimit::idle;
    limit.ident = 0;
    if (!box) return;
    refresh(all, *box, gone);
    box->remove_limit(&limit);
    box->leave_block(&limit);
    Pending* each = box->first;
    while (each && each != &limit.pending) each = each->next;
    if (each) {
      if (box->told == each) untell(all, *box, gone);
      box->remove(each);
      gone.add(each);
    }
    tell(all, *box);
    is_left_over = plan_look(all, *box);
    delete_if_idle(all, box);
  }
  gone.drop_all();
  if (is_left_over) call_timekeeper();
}

void abandon(Interrupts& all, TimeLimit& limit) {
  const Guard guard;
  if (limit.state == TimeLimit::idle) return;
  limit.state = TimeLimit::idle;
  if (Mailbox* const box = find_mailbox(all, limit.ident)) {
    box->remove_limit(&limit);
    box->leave_block(&limit);
    delete_if_idle(all, box);
  }
}

std::int64_t next_limit(Interrupts& all) {
  Gone gone(all);
  std::int64_t next = lot::never;
  {
    const Guard guard;
    const Mailbox* const box = own_mailbox(all, gone);
    if (box && box->held == 0)
      for (const TimeLimit* each = box->limits; each; each = each->next)
        next = std::min(next, each->look_at);
  }
  gone.drop_all();
  return next;
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
          delete_if_idle(all, box);
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
        delete_if_idle(all, box);
      }
    }
    gone.drop_all();
    if (told == 0) break;
    if (!is_main(all, told)) wake(all, told);
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

}  // namespace underthread::python
