#include <underthread/errors.h>
#include <underthread/signals.h>

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "current_thread.h"
#include "due_handlers.h"
#include "interruptible_syscalls.h"
#include "lot/fork.h"
#include "lot/mutex.h"
#include "lot/thread_record.h"
#include "os/native_thread.h"
#include "os/signal_action.h"
#include "os/thread_sanitizer.h"

namespace underthread {
namespace {

/// A set of signals: bit n-1 is signal n. As many as one atomic word can hold, for the handler's
/// sake.
using SignalSet = std::uint64_t;
constexpr int signal_limit = 64;

constexpr SignalSet only(int signum) noexcept {
  return SignalSet{1} << (signum - 1);
}

// Which signals have a handler of ours that is to be called. release when a handler has been put
// into the table, acquire before it is used.
constinit std::atomic<SignalSet> handled{0};

// Which have arrived. release when one arrives, acquire when they are taken: `pending` of the main
// thread orders them too, but a taker may find a bit before its poke.
//
// Both ends are read-modify-writes with acquire and release, for a main thread that becomes known
// while a signal comes. Of the two one is first in the order of this word: then either the thread
// finds the bit, or whoever sets it acquires that `main_thread` has been set. A mere load here
// could miss the bit while the other misses the thread.
constinit std::atomic<SignalSet> arrived{0};

// By signal; null where the handler is not ours. Made on the heap and never destroyed at exit,
// since threads may outlive static destructors. Guarded by lot::settings.
constinit std::array<Handler*, signal_limit + 1> handlers{};

// What a signal does, and what interrupt_main does instead of one. Async-signal-safe.
void arrive(int signum) {
  arrived.fetch_or(only(signum), std::memory_order_acq_rel);
  if (lot::ThreadRecord* main = lot::main_thread.load(std::memory_order_acquire)) {
    lot::interrupt(*main);
    end_syscall(*main);
  }
}

// As CPython: what arrived before the fork was for the parent.
void forget_arrived() {
  arrived.store(0, std::memory_order_relaxed);
}

void check_range(int signum) {
  if (signum < 1 || signum > os::last_signal() || signum > signal_limit)
    throw std::invalid_argument("signal number out of range");
}

}  // namespace

Handler::Handler(void (*function)(int)) {
  if (function == SIG_IGN) {
    kind_ = Kind::ignored;
  } else if (function != SIG_DFL) {
    kind_ = Kind::function;
    function_ = function;
  }
}

Handler::Handler(std::shared_ptr<std::function<void(int)>> object)
    : kind_(Kind::object), object_(std::move(object)) {
  if (!*object_) throw std::invalid_argument("signal handler must be callable");
}

Handler::Handler(const os::ForeignAction& foreign)
    : kind_(Kind::foreign), foreign_(std::make_shared<os::ForeignAction>(foreign)) {}

bool Handler::is_same(const os::ForeignAction* a, const os::ForeignAction* b) noexcept {
  return a == b || (a && b && *a == *b);
}

/// The only one that looks into a Handler.
class HandlerTable {
 public:
  static bool is_called(const Handler& handler) {
    return handler.kind_ == Handler::Kind::function || handler.kind_ == Handler::Kind::object;
  }

  static void call(const Handler& handler, int signum) {
    if (handler.kind_ == Handler::Kind::function)
      handler.function_(signum);
    else if (handler.kind_ == Handler::Kind::object)
      (*handler.object_)(signum);
  }

  static os::SignalAction action_of(const Handler& handler) {
    switch (handler.kind_) {
      case Handler::Kind::system_default:
        return os::SignalAction::system_default;
      case Handler::Kind::ignored:
        return os::SignalAction::ignored;
      case Handler::Kind::foreign:
        return os::SignalAction::foreign;
      case Handler::Kind::function:
      case Handler::Kind::object:
        break;
    }
    return os::SignalAction::ours;
  }

  static const os::ForeignAction* foreign_of(const Handler& handler) {
    return handler.foreign_.get();
  }

  /// What is in force now: what the system says, and for what is ours the one that we set.
  static Handler current(int signum) {
    os::ForeignAction foreign;
    switch (os::signal_action(signum, &foreign)) {
      case os::SignalAction::ignored:
        return plain(ignore, foreign);
      case os::SignalAction::foreign:
        return Handler(foreign);
      case os::SignalAction::system_default:
        return plain(default_action, foreign);
      case os::SignalAction::ours:
        break;
    }
    return ours(signum);
  }

  /// With the flags that it has, if any: they say what becomes of children (SA_NOCLDWAIT).
  static Handler plain(Handler handler, const os::ForeignAction& with) {
    if (with.action.sa_flags & (SA_NOCLDWAIT | SA_NOCLDSTOP))
      handler.foreign_ = std::make_shared<os::ForeignAction>(with);
    return handler;
  }

  /// The one that we set, whether it is in force or another library has put its own before it.
  static Handler ours(int signum) {
    const lot::Locked locked(lot::settings);
    os::note_after(&handlers);
    const Handler* const set = handlers[static_cast<std::size_t>(signum)];
    return set ? *set : default_action;
  }

  /// Puts a handler of ours, or null, into the table.
  static void put(int signum, std::unique_ptr<Handler> handler) {
    if (!handler) handled.fetch_and(~only(signum), std::memory_order_relaxed);
    const bool ours = handler != nullptr;
    Handler* old;
    {
      const lot::Locked locked(lot::settings);
      os::note_before(&handlers);
      old = std::exchange(handlers[static_cast<std::size_t>(signum)], handler.release());
    }
    delete old;
    if (ours) handled.fetch_or(only(signum), std::memory_order_release);
  }
};

void default_int_handler(int) {
  throw KeyboardInterrupt();
}

Handler signal(int signum, Handler handler) {
  check_range(signum);
  current_thread();
  if (!os::is_first_thread()) throw std::invalid_argument("signal only works in main thread");
  lot::call_in_fork_child(forget_arrived);

  Handler before = HandlerTable::current(signum);
  const bool ours = HandlerTable::is_called(handler);
  auto kept = ours ? std::make_unique<Handler>(handler) : nullptr;
  Handler set_before = HandlerTable::ours(signum);
  auto undo = HandlerTable::is_called(set_before) ? std::make_unique<Handler>(std::move(set_before))
                                                  : nullptr;
  // In the table before the system may call it, and out of it only once the system no longer does.
  if (ours) HandlerTable::put(signum, std::move(kept));
  if (const int refused = os::set_signal_action(signum, HandlerTable::action_of(handler), arrive,
                                                HandlerTable::foreign_of(handler))) {
    if (ours) HandlerTable::put(signum, std::move(undo));
    throw std::system_error(refused, std::generic_category(), "signal");
  }
  // One that was set by another library may call what was there before it, which was ours.
  if (!ours && !handler.is_foreign()) HandlerTable::put(signum, nullptr);
  return before;
}

Handler getsignal(int signum) {
  check_range(signum);
  return HandlerTable::current(signum);
}

void interrupt_main(int signum) {
  check_range(signum);
  if ((handled.load(std::memory_order_acquire) & only(signum)) &&
      os::signal_action(signum) == os::SignalAction::ours) {
    os::note_before(&arrived);
    arrive(signum);
  }
}

bool take_arrived(int signum) noexcept {
  return arrived.fetch_and(~only(signum), std::memory_order_acq_rel) & only(signum);
}

bool handlers_are_due(const lot::ThreadRecord& me) noexcept {
  return lot::main_thread.load(std::memory_order_acquire) == &me &&
         arrived.load(std::memory_order_relaxed) != 0;
}

void run_due_handlers(lot::ThreadRecord& me) {
  SignalSet called = 0;
  for (;;) {
    const SignalSet due = arrived.fetch_or(0, std::memory_order_acq_rel) & ~called;
    if (due == 0) break;
    os::note_after(&arrived);
    const int signum = std::countr_zero(due) + 1;
    called |= only(signum);
    arrived.fetch_and(~only(signum), std::memory_order_relaxed);
    // A handler may wait for what the others bring, so they find their turn at its own safe points;
    // and if it throws, at the next one.
    lot::look_again(me);
    // It may have been reset since the signal arrived; then nothing is to be done about it.
    const Handler handler = HandlerTable::ours(signum);
    HandlerTable::call(handler, signum);
  }
}

}  // namespace underthread
