#include <underthread/errors.h>
#include <underthread/interrupt.h>

#include <memory>
#include <stdexcept>
#include <utility>

#include "due_handlers.h"
#include "due_limit.h"
#include "interrupt_holder.h"
#include "interruptible_syscalls.h"
#include "os/exceptions.h"
#include "pending_interrupts.h"
#include "safe_point.h"

namespace underthread {
namespace {

struct ExceptionLetter final : lot::Letter {
  explicit ExceptionLetter(std::exception_ptr what) : exception(std::move(what)) {}
  std::exception_ptr exception;
};

}  // namespace

bool interrupts_are_held(const lot::ThreadRecord& me) noexcept {
  return me.interrupts_held.load(std::memory_order_relaxed) > 0 || std::uncaught_exceptions() > 0;
}

namespace {

/// What waits in a thread's mailbox or for its handlers has its turn while this exists. Until
/// everything has had it the flag must be found again: whatever is thrown leaves the rest pending.
/// Poking is not needed, the thread is awake.
struct Turn {
  lot::ThreadRecord& me;
  bool is_left = true;
  ~Turn() {
    if (is_left) lot::look_again(me);
    settle_nudge(me);
  }

  /// The oldest of the exceptions that were sent; null: none.
  std::exception_ptr next() {
    const std::unique_ptr<lot::Letter> letter(me.mailbox.take(me.holder, is_left));
    return letter ? static_cast<ExceptionLetter&>(*letter).exception : nullptr;
  }
};

bool is_main(const lot::ThreadRecord& me) noexcept {
  return lot::main_thread.load(std::memory_order_acquire) == &me;
}

/// What `function` throws; null: nothing.
template <class Function>
std::exception_ptr thrown_by(Function function) {
  struct Call {
    Function& function;
    std::exception_ptr thrown;
  } call{function, nullptr};
  os::run_contained(
      [](void* argument) { static_cast<Call*>(argument)->function(); },
      [](void* argument) { static_cast<Call*>(argument)->thrown = std::current_exception(); },
      &call);
  return call.thrown;
}

}  // namespace

std::exception_ptr take_sent_interrupt(lot::ThreadRecord& me) {
  if (!lot::take_pending(me)) return nullptr;
  Turn turn{me};
  if (is_main(me))
    if (std::exception_ptr thrown = thrown_by([&] { run_due_handlers(me); })) return thrown;
  return turn.next();
}

std::exception_ptr take_interrupt() {
  lot::ThreadRecord& me = current_thread();
  if (std::exception_ptr sent = take_sent_interrupt(me)) return sent;
  return thrown_by([&] { throw_due_limit(me); });
}

void put_interrupt_back(lot::ThreadRecord& me, std::exception_ptr exception) {
  auto letter = std::make_unique<ExceptionLetter>(std::move(exception));
  letter->holder = me.holder;
  me.mailbox.put_back(*letter.release());
  lot::look_again(me);
}

void deliver_interrupts() {
  // Known from here on; where that cannot be, nobody can have sent it anything.
  lot::ThreadRecord* const known = lot::current();
  if (!known) return;
  lot::ThreadRecord& me = *known;
  if (interrupts_are_held(me)) return;
  if (!lot::take_pending(me)) return throw_due_limit(me);

  Turn turn{me};
  if (is_main(me)) run_due_handlers(me);
  if (std::exception_ptr sent = turn.next()) std::rethrow_exception(std::move(sent));
  throw_due_limit(me);
}

/// @param send  sends a letter, as `lot::send` does
template <class Send>
bool interrupt_by(Send send, std::exception_ptr exception) {
  if (!exception) throw std::invalid_argument("no exception to interrupt with");
  auto letter = std::make_unique<ExceptionLetter>(std::move(exception));
  lot::ThreadRecord* const thread = send(*letter);
  if (!thread) return false;
  letter.release();
  end_syscall(*thread);
  return true;
}

bool interrupt(Ident ident, std::exception_ptr exception) {
  // The caller may name itself before it has ever used the library.
  current_thread();
  return interrupt_by([ident](lot::Letter& letter) { return lot::send(ident, letter); },
                      std::move(exception));
}

bool interrupt_holder(std::uint32_t holder, std::exception_ptr exception) {
  return interrupt_by([holder](lot::Letter& letter) { return lot::send_to_holder(holder, letter); },
                      std::move(exception));
}

HoldInterrupts::HoldInterrupts() {
  lot::ThreadRecord& me = current_thread();
  const std::uint32_t held = me.interrupts_held.load(std::memory_order_relaxed);
  me.interrupts_held.store(held + 1, std::memory_order_relaxed);
  if (held == 0) close_nudge(me);
}

HoldInterrupts::~HoldInterrupts() {
  lot::ThreadRecord& me = current_thread();
  const std::uint32_t held = me.interrupts_held.load(std::memory_order_relaxed);
  me.interrupts_held.store(held - 1, std::memory_order_relaxed);
  if (held == 1) open_nudge(me);
}

}  // namespace underthread
