#include "interrupts/deadlines.h"

#include <underthread/lot/wait.h>

#include <algorithm>
#include <array>
#include <cstddef>

#include "interrupts/async_exception.h"
#include "interrupts/delivery.h"
#include "interrupts/guard.h"
#include "interrupts/interrupts.h"
#include "interrupts/limit.h"
#include "interrupts/main_thread.h"
#include "interrupts/thread_nudge.h"
#include "interrupts/timekeeper.h"

namespace underthread::python {
namespace {

std::int64_t due_at(const TimeLimit& limit, std::int64_t moment) {
  return std::max(moment, limit.not_before);
}

/// A limit's block is left, by whoever has it: its mailbox has nothing of it any more. @return
/// whether the timekeeper is to be told
bool take_out(Interrupts& all, Mailbox& box, TimeLimit& limit, Gone& gone) {
  refresh(all, box, gone);
  box.remove_limit(&limit);
  box.leave_block(&limit);
  Pending* each = box.first;
  while (each && each != &limit.pending) each = each->next;
  if (each) {
    if (box.told == each) untell(all, box, gone);
    box.remove(each);
    gone.add(each);
  }
  tell(all, box);
  const bool is_left_over = plan_look(all, box);
  delete_if_idle(all, &box);
  return is_left_over;
}

}  // namespace

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
      limit.not_before = 0;
      fill(limit.pending);
      box->add_limit(&limit);
      box->enter_block(&limit);
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
    if (limit.state != TimeLimit::idle) {
      limit.state = TimeLimit::idle;
      limit.ident = 0;
      if (box) is_left_over = take_out(all, *box, limit, gone);
    }
  }
  gone.drop_all();
  settle_thread_nudge();
  if (is_left_over) call_timekeeper();
}

void abandon(Interrupts& all, TimeLimit& limit) {
  Gone gone(all);
  bool is_left_over = false;
  {
    const Guard guard;
    if (limit.state == TimeLimit::idle) return;
    limit.state = TimeLimit::idle;
    if (Mailbox* const box = find_mailbox(all, limit.ident))
      is_left_over = take_out(all, *box, limit, gone);
  }
  gone.drop_all();
  if (is_left_over) call_timekeeper();
}

std::int64_t next_limit(Interrupts& all) {
  Gone gone(all);
  std::int64_t next = lot::never;
  {
    const Guard guard;
    const Mailbox* const box = own_mailbox(all, gone);
    if (box && box->held == 0)
      for (const TimeLimit* each = box->limits; each; each = each->next)
        if (due_at(*each, each->deadline) < next &&
            (!each->frame || has_frame(all, box->ident, each->frame)))
          next = due_at(*each, each->deadline);
  }
  gone.drop_all();
  return next;
}

std::int64_t expire_limits(Interrupts& all, std::int64_t now) {
  Gone gone(all);
  bool is_mains = false;
  for (;;) {
    // Threads that have been told, to be woken outside of Guard.
    std::array<Ident, 64> told{};
    std::size_t count = 0;
    {
      const Guard guard;
      for (Mailbox *box = all.mailboxes, *next = nullptr; box && count < told.size(); box = next) {
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
        if (is_main(all, box->ident))
          is_mains = true;
        else
          told[count++] = box->ident;
        delete_if_idle(all, box);
      }
    }
    gone.drop_all();
    for (std::size_t each = 0; each < count; ++each) wake(all, told[each]);
    if (count < told.size()) break;
  }
  if (is_mains) tell_main_thread();
  const Guard guard;
  return std::min(first_deadline(all, true), first_deadline(all, false));
}

std::int64_t first_deadline(const Interrupts& all, bool by_timekeeper) {
  std::int64_t first = lot::never;
  const auto look_at = [&](const Mailbox& box) {
    for (const TimeLimit* each = box.limits; each; each = each->next)
      if (each->by_timekeeper == by_timekeeper)
        first = std::min(first, due_at(*each, each->look_at));
  };
  if (!by_timekeeper) {
    if (const Mailbox* const box = find_mailbox(all, main_ident())) look_at(*box);
    return first;
  }
  for (const Mailbox* box = all.mailboxes; box; box = box->next) {
    first = std::min(first, box->look_at);
    look_at(*box);
  }
  return first;
}

}  // namespace underthread::python
