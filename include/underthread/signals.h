// Signals as ordinary code: handlers run in the main thread, at safe points, and may do anything.
//
// Safe points are `acquire`, `join`, `sleep_for`, `sleep_until` and `check_interrupts`. A main
// thread that waits at one notices at once. The main thread is the one that ran `main`; in the
// child of a fork it is the one that forked.
#pragma once

#include <csignal>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

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

  /// True of a handler that this library did not set: it was there before. Setting it again puts
  /// the very same one back.
  bool is_foreign() const noexcept { return kind_ == Kind::foreign; }

  friend bool operator==(const Handler& a, const Handler& b) {
    return a.kind_ == b.kind_ && a.function_ == b.function_ && a.object_ == b.object_;
  }

 private:
  friend class HandlerTable;
  enum class Kind { system_default, ignored, function, object, foreign };
  explicit Handler(std::shared_ptr<std::function<void(int)>> object);
  template <class F>
  static Handler from(F function) {
    if constexpr (std::is_convertible_v<F, void (*)(int)>)
      return Handler(static_cast<void (*)(int)>(function));
    else
      return Handler(std::make_shared<std::function<void(int)>>(std::move(function)));
  }
  explicit Handler(Kind kind) : kind_(kind) {}

  Kind kind_ = Kind::system_default;
  void (*function_)(int) = nullptr;
  std::shared_ptr<std::function<void(int)>> object_;
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

/// The handler of a signal (Python: `signal.getsignal`), from any thread.
/// @throws std::invalid_argument "signal number out of range"
Handler getsignal(int signum);

/// Simulates the arrival of a signal: schedules its handler in the main thread (document:
/// `_thread.interrupt_main`). No signal is emitted. Where the handler is default, ignored or not
/// ours, nothing happens. From any thread.
/// @throws std::invalid_argument "signal number out of range"
void interrupt_main(int signum = SIGINT);

}  // namespace underthread
