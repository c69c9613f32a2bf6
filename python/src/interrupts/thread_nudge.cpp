#include "interrupts/thread_nudge.h"

#include <new>

#include "interrupts/main_thread.h"
#include "interrupts/signal_wait.h"
#include "lot/fork.h"
#include "os/nudge.h"
#include "os/signal_mask.h"

namespace underthread::python {
namespace {

/// How many threads have a nudge that is not put away. Guarded by lot::settings.
constinit unsigned nudged_threads = 0;

os::Nudge* own_nudge() {
  auto* const me = static_cast<lot::ThreadRecord*>(lot::this_thread);
  // acquire: pairs with the release in `nudge_thread`.
  return me ? me->nudge.load(std::memory_order_acquire) : nullptr;
}

// In a scope of the library's, this thread's nudge is about what comes there.
bool is_the_librarys() {
  return static_cast<lot::ThreadRecord*>(lot::this_thread)->interruptible_scopes > 0;
}

// Whether the interpreter has something to raise in this thread. One whose state is gone has not.
bool is_awaited() {
  PyThreadState* const state = PyGILState_GetThisThreadState();
  return state && async_exception_of(state);
}

// In a signal handler, in any thread.
void nudged() {
  os::Nudge* const nudge = own_nudge();
  if (!nudge || is_the_librarys()) return;
  if (is_awaited())
    nudge->again();
  else
    nudge->stop();
}

}  // namespace

void nudge_thread(Interrupts& all, Ident ident, lot::ThreadRecord& thread) {
  if (!system_calls_raise_in_any_thread || !interrupts_are_prompt() || !may_use_signals()) return;
  const std::uint64_t native_id = thread.native_id.load(std::memory_order_relaxed);
  SignalWait signal_wait(&all, ident);
  const lot::Locked locked(lot::settings);
  os::Nudge* nudge = thread.nudge.load(std::memory_order_relaxed);
  if (!nudge) {
    nudge = new (std::nothrow) os::Nudge;
    if (!nudge) return;
    thread.nudge.store(nudge, std::memory_order_release);
  }
  const int signum = claim_nudge(nudged);
  if (signum == 0 || signal_wait.is_for(native_id, signum)) return;
  if (nudge->is_put_away()) ++nudged_threads;
  // Without a timer it is nudged once, and nobody has to put anything away.
  if (!nudge->aim(native_id, signum)) --nudged_threads;
  nudge->open();
  // In a wait of ours it has been woken; it is nudged if that was just over.
  if (thread.waits_for.load(std::memory_order_relaxed))
    nudge->begin_later();
  else
    nudge->begin();
}

void settle_thread_nudge() {
  os::Nudge* const nudge = own_nudge();
  if (!nudge || is_the_librarys() || nudge->is_put_away()) return;
  if (is_awaited()) {
    nudge->begin_later();
  } else {
    const lot::Locked locked(lot::settings);
    nudge->put_away();
    os::Nudge::discard(nudge->signum());
    if (nudged_threads > 0) --nudged_threads;
    let_go_of_nudges();
  }
}

bool threads_are_nudged() {
  return nudged_threads > 0;
}

void forget_nudged_threads() {
  nudged_threads = 0;
}

}  // namespace underthread::python
