#include <underthread/errors.h>
#include <underthread/interrupt.h>

#include <memory>
#include <stdexcept>
#include <utility>

#include "due_handlers.h"
#include "due_limit.h"
#include "interruptible_syscalls.h"
#include "safe_point.h"

namespace underthread {
namespace {

struct ExceptionLetter final : lot::Letter {
  explicit ExceptionLetter(std::exception_ptr what) : exception(std::move(what)) {}
  std::exception_ptr exception;
};

}  // namespace

bool interrupts_are_held(const lot::ThreadRecord& me) noexcept {
  return me.interrupts_held > 0 || std::uncaught_exceptions() > 0;
}

void deliver_interrupts() {
  lot::ThreadRecord& me = current_thread();
  if (interrupts_are_held(me)) return;
  if (!lot::take_pending(me)) return throw_due_limit(me);

  // Until everything has had its turn, the flag must be found again: whatever is thrown from here
  // on leaves the rest pending. Poking is not needed, the thread is awake.
  struct Rest {
    lot::ThreadRecord& me;
    bool left = true;
    ~Rest() {
      if (left) lot::look_again(me);
      settle_nudge(me);
    }
  } rest{me};

  if (lot::main_thread.load(std::memory_order_acquire) == &me) run_due_handlers(me);

  bool more = false;
  const std::unique_ptr<lot::Letter> letter(lot::take_letter(me, more));
  rest.left = more;
  if (letter) std::rethrow_exception(static_cast<ExceptionLetter&>(*letter).exception);
  throw_due_limit(me);
}

bool interrupt(Ident ident, std::exception_ptr exception) {
  if (!exception) throw std::invalid_argument("no exception to interrupt with");
  // The caller may name itself before it has ever used the library.
  current_thread();
  auto letter = std::make_unique<ExceptionLetter>(std::move(exception));
  lot::ThreadRecord* const thread = lot::send(ident, *letter);
  if (!thread) return false;
  letter.release();
  end_syscall(*thread);
  return true;
}

HoldInterrupts::HoldInterrupts() {
  lot::ThreadRecord& me = current_thread();
  if (++me.interrupts_held == 1) close_nudge(me);
}

HoldInterrupts::~HoldInterrupts() {
  lot::ThreadRecord& me = current_thread();
  if (--me.interrupts_held == 0) open_nudge(me);
}

}  // namespace underthread
