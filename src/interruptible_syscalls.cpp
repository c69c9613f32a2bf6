#include "interruptible_syscalls.h"

#include <underthread/errors.h>
#include <underthread/interruptible_syscalls.h>

#include <exception>
#include <stdexcept>

#include "current_thread.h"
#include "due_handlers.h"
#include "lot/fork.h"
#include "os/futex.h"
#include "os/native_thread.h"
#include "os/nudge.h"

namespace underthread {
namespace {

/// What a handler takes to return, and the system to go on with a call, at the most as a rule; ns.
constexpr std::int64_t after_handler = 50'000;

/// Whether a safe point would find something: `pending` alone may be set without a reason, by a
/// poke at the thread that had this record before, and by a main thread that becomes known.
bool has_interrupt(const lot::ThreadRecord& me) noexcept {
  return me.pending.load(std::memory_order_acquire) != 0 &&
         (me.mailbox.has_any() || handlers_are_due(me));
}

bool is_due(const lot::ThreadRecord& me) noexcept {
  return has_interrupt(me) || me.limit_until.load(std::memory_order_relaxed) <= os::now();
}

bool wants_nudges(const lot::ThreadRecord& me) noexcept {
  return me.interruptible_scopes > 0 && me.interrupts_held.load(std::memory_order_relaxed) == 0;
}

// In a signal handler, in any thread. Relaxed: the thread has set its nudge itself.
void nudged() {
  auto* const me = static_cast<lot::ThreadRecord*>(lot::this_thread);
  if (!me || !wants_nudges(*me)) return;
  if (is_due(*me))
    me->nudge.load(std::memory_order_relaxed)->again();
  else
    settle_nudge(*me);
}

/// Has the nudge aim at this thread, which is in no scope. @throws as InterruptibleSyscalls
void aim_nudge(lot::ThreadRecord& me) {
  os::Nudge* nudge = me.nudge.load(std::memory_order_relaxed);
  const int wanted = nudge ? 0 : os::Nudge::number_wanted();
  if (wanted < 0) throw std::invalid_argument("UNDERTHREAD_NUDGE is no signal's number");
  // Each time: the program may have set a handler of its own since.
  const int signum = os::Nudge::claim(wanted, nudged);
  if (signum == 0)
    throw error(wanted != 0 ? "the signal of UNDERTHREAD_NUDGE is used by the program"
                            : "no signal is left to end system calls with");
  if (!nudge) {
    nudge = new os::Nudge;
    // acq_rel: `end_syscall` says why.
    me.nudge.exchange(nudge, std::memory_order_acq_rel);
  }
  nudge->aim(me.native_id.load(std::memory_order_relaxed), signum);
}

// In the child of a fork, whose thread goes on in its scopes: by another number of the kernel's,
// and without a timer. One that is not to be had now cannot be asked for later; nudges are sent
// once then.
void aim_anew() {
  auto* const me = static_cast<lot::ThreadRecord*>(lot::this_thread);
  if (!me || me->interruptible_scopes == 0) return;
  const int signum = os::Nudge::claim(0, nudged);
  me->nudge.load(std::memory_order_relaxed)->aim(os::thread_native_id(), signum);
  open_nudge(*me);
}

}  // namespace

void end_syscall(lot::ThreadRecord& thread) noexcept {
  // A read-modify-write also where there is none, with acquire and release, as where one is put
  // there: of the two one is first in this word's order. Either the nudge is found here, or its
  // thread acquires what is pending, and looks for that next.
  os::Nudge* nudge = nullptr;
  if (thread.nudge.compare_exchange_strong(nudge, nullptr, std::memory_order_acq_rel,
                                           std::memory_order_acquire))
    return;
  // The thread itself, in a signal's handler, would take it before the call goes on.
  if (&thread == lot::this_thread)
    nudge->begin_at(os::now() + after_handler);
  else
    nudge->begin();
}

void settle_nudge(lot::ThreadRecord& me) noexcept {
  if (!wants_nudges(me)) return;
  os::Nudge& nudge = *me.nudge.load(std::memory_order_relaxed);
  const std::int64_t until = me.limit_until.load(std::memory_order_relaxed);
  if (until != lot::never)
    nudge.begin_at(until);
  else
    nudge.stop();
  // What came before that had its nudge stopped; what comes after it begins its own.
  if (has_interrupt(me)) nudge.begin_later();
}

void close_nudge(lot::ThreadRecord& me) noexcept {
  if (me.interruptible_scopes > 0) me.nudge.load(std::memory_order_relaxed)->close();
}

void open_nudge(lot::ThreadRecord& me) noexcept {
  if (!wants_nudges(me)) return;
  os::Nudge& nudge = *me.nudge.load(std::memory_order_relaxed);
  nudge.open();
  // What was sent before it was open is looked for now.
  settle_nudge(me);
}

InterruptibleSyscalls::InterruptibleSyscalls() {
  lot::ThreadRecord& me = current_thread();
  if (std::uncaught_exceptions() > 0) hold_.emplace();
  if (me.interruptible_scopes == 0) {
    lot::call_in_fork_child(aim_anew);
    aim_nudge(me);
  }
  if (++me.interruptible_scopes == 1) open_nudge(me);
}

InterruptibleSyscalls::~InterruptibleSyscalls() {
  auto& me = static_cast<lot::ThreadRecord&>(*lot::this_thread);
  // Closed before it counts as left: a nudge that is on its way finds what it is about.
  if (me.interruptible_scopes == 1) close_nudge(me);
  --me.interruptible_scopes;
}

}  // namespace underthread
