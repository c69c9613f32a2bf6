// Signals as ordinary code: handlers run in the main thread, at safe points, and may do anything.
//
// Safe points are `acquire`, `join`, `sleep_for`, `sleep_until` and `check_interrupts`. A main
// thread that waits at one notices at once. The main thread is the one that ran `main`; in the
// child of a fork it is the one that forked.
//
// A signal that has a handler of ours ends no system call of the program's (SA_RESTART), but for
// those that the system never goes on with, as `poll`, `select`, `epoll_wait` and `nanosleep`
// (POSIX; signal(7)). What is to end for it is in an InterruptibleSyscalls. (Under ThreadSanitizer
// it ends them all: the sanitizer holds handlers back until a call returns.)
#pragma once

#include <csignal>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace underthread::os {
struct ForeignAction;
}

namespace underthread {

inline constexpr struct DefaultAction {
} default_action;  ///< Python's SIG_DFL: the system's default
inline constexpr struct Ignore {
} ignore;  ///< Python's SIG_IGN

/// Throws KeyboardInterrupt: the handler that Python sets for SIGINT.
[[noreturn]] void default_int_handler(int signum);

/// What to do about a signal: `default_action`, `ignore`, or anything callable with the signal's
/// number. Compares equal to what it was made from (function objects: to its own copies).
class Handler {
 public:
  Handler(DefaultAction) {}
  Handler(Ignore) : kind_(Kind::ignored) {}
  Handler(void (*function)(int));  ///< SIG_DFL and SIG_IGN are understood; null is SIG_DFL
  template <class F>
  requires(std::is_invocable_v<F&, int> && !std::is_same_v<F, Handler>) Handler(F function)
      : Handler(from(std::move(function))) {}

  /// True of a handler that this library did not set. Setting it puts the very same one back, with
  /// the flags and the mask that it had.
  bool is_foreign() const noexcept { return kind_ == Kind::foreign; }

  friend bool operator==(const Handler& a, const Handler& b) {
    return a.kind_ == b.kind_ && a.function_ == b.function_ && a.object_ == b.object_ &&
           (a.kind_ != Kind::foreign || is_same(a.foreign_.get(), b.foreign_.get()));
  }

 private:
  friend class HandlerTable;
  enum class Kind { system_default, ignored, function, object, foreign };
  explicit Handler(std::shared_ptr<std::function<void(int)>> object);
  template <class F>
  static Handler from(F function) {
    if constexpr (std::is_convertible_v<F, void (*)(int)>)
      return Handler(static_cast<void (*)(int)>(function));
    else if constexpr (!std::is_copy_constructible_v<F>)
      // A std::function holds only what can be copied.
      return from([shared = std::make_shared<F>(std::move(function))](int signum) {
        std::invoke(*shared, signum);
      });
    else
      return Handler(std::make_shared<std::function<void(int)>>(std::move(function)));
  }
  explicit Handler(const os::ForeignAction& foreign);
  static bool is_same(const os::ForeignAction* a, const os::ForeignAction* b) noexcept;

  Kind kind_ = Kind::system_default;
  void (*function_)(int) = nullptr;
  std::shared_ptr<std::function<void(int)>> object_;
  std::shared_ptr<const os::ForeignAction> foreign_;  ///< also flags of a default or ignored one
};

/// Sets the handler of a signal and returns the one before (Python: `signal.signal`). Only in the
/// main thread.
/// @throws std::invalid_argument "signal number out of range"; "signal only works in main thread"
///         std::system_error where the system refuses, as for SIGKILL
Handler signal(int signum, Handler handler);
/// The same for a plain function and for what can be called. Overloads of their own for what
/// `using namespace underthread` does to an unqualified `signal(SIGINT, f)`: C's `signal` would
/// match a function better than a Handler does, and call it inside the signal handler. So it is
/// ambiguous and does not compile; qualify it. A lambda is taken here.
inline Handler signal(int signum, void (*function)(int)) {
  return signal(signum, Handler(function));
}
template <class F>
requires(std::is_invocable_v<F&, int> && !std::is_same_v<F, void (*)(int)>) Handler
    signal(int signum, F function) {
  return signal(signum, Handler(std::move(function)));
}

/// The handler of a signal (Python: `signal.getsignal`), from any thread: what the system has for
/// it now, whoever has set that.
/// @throws std::invalid_argument "signal number out of range"
Handler getsignal(int signum);

/// Simulates the arrival of a signal: schedules its handler in the main thread (document:
/// `_thread.interrupt_main`). No signal is emitted. Where the handler is default, ignored or not
/// ours, nothing happens. From any thread.
/// @throws std::invalid_argument "signal number out of range"
void interrupt_main(int signum = SIGINT);

}  // namespace underthread
