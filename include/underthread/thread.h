// Threads: start one and forget it (`start_new_thread`, the document's way), or keep a handle that
// can be joined (`Thread`).
//
// A thread ends when its function returns, silently; by SystemExit, silently; or by any other
// exception, which goes to the excepthook and, for a Thread, to whoever joins. The process lives
// on. Forced unwinding (pthread_exit, pthread_cancel by others) passes through and ends the thread.
#pragma once

#include <underthread/deadline.h>
#include <underthread/ident.h>
#include <underthread/lot/wait.h>
#include <underthread/thread_safety.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace underthread {

/// What a new thread runs: a decayed copy of a function and its arguments.
class ThreadFunction {
 public:
  ThreadFunction() = default;
  ThreadFunction(const ThreadFunction&) = delete;
  ThreadFunction& operator=(const ThreadFunction&) = delete;
  virtual ~ThreadFunction() = default;
  virtual void run() = 0;

  /// @throws std::invalid_argument "a thread's function must not be empty": a null pointer, or an
  ///         empty std::function
  template <class F, class... A>
  static std::unique_ptr<ThreadFunction> copy_of(F&& function, A&&... arguments) {
    static_assert(std::is_invocable_v<std::decay_t<F>, std::decay_t<A>...>,
                  "a thread's function must be callable with decayed copies of its arguments, as "
                  "rvalues; wrap references in std::ref");
    if (is_empty<std::decay_t<F>>(function)) refuse_empty();
    class Copy final : public ThreadFunction {
     public:
      explicit Copy(F&& f, A&&... a) : call_(std::forward<F>(f), std::forward<A>(a)...) {
        happens_before(this);
      }
      void run() override {
        happens_after(this);
        std::apply([](auto&&... part) { std::invoke(std::move(part)...); }, std::move(call_));
      }

     private:
      std::tuple<std::decay_t<F>, std::decay_t<A>...> call_;
    };
    return std::make_unique<Copy>(std::forward<F>(function), std::forward<A>(arguments)...);
  }

 private:
  friend Ident start_new_thread(std::unique_ptr<ThreadFunction> function);

  template <class F>
  static bool is_empty(const F& function) {
    if constexpr (std::is_pointer_v<F> || std::is_member_pointer_v<F>)
      return function == nullptr;
    else if constexpr (!std::is_empty_v<F> && requires { function == nullptr; })
      return function == nullptr;
    else
      return false;
  }
  [[noreturn]] static void refuse_empty();
};

/// Starts a thread that nobody joins; returns its ident (document: `_thread.start_new_thread`).
/// @throws error "can't start new thread: ", then the system's reason and the limit that was hit;
///         std::invalid_argument as ThreadFunction::copy_of
Ident start_new_thread(std::unique_ptr<ThreadFunction> function);

template <class F, class... A>
requires(!std::is_convertible_v<F&&, std::unique_ptr<ThreadFunction>>) Ident
    start_new_thread(F&& function, A&&... arguments) {
  return start_new_thread(
      ThreadFunction::copy_of(std::forward<F>(function), std::forward<A>(arguments)...));
}

/// What `~Thread` does with a thread that is still running. In each case but `detach` it then waits
/// for the thread to end.
enum class AtScopeEnd : std::uint8_t {
  /// Interrupts it with SystemExit where an exception leaves the scope, as for a scope that fails
  /// nobody needs what its threads were to do; else only waits.
  interrupt_if_it_fails,
  interrupt,  ///< with SystemExit, as std::jthread requests its stop
  wait,       ///< lets it run to its end
  detach,     ///< lets it go its way
};

struct ThreadOptions {
  /// Bytes, as for `stack_size(std::size_t)`; 0: what `stack_size()` says when the thread starts.
  std::size_t stack_size = 0;
  /// Shown by `Thread::name`, by the excepthook and, cut to what the system keeps (15 bytes on
  /// Linux), by the system's tools. Empty: the system's own choice.
  std::string name = {};
  AtScopeEnd at_scope_end = AtScopeEnd::interrupt_if_it_fails;
  /// Whether an exception that ends it goes to the excepthook at once, though it may be thrown
  /// where the thread is joined as well. False: only where nobody has joined it by the time that
  /// its last handle goes. A Task's does not.
  bool reports_exception = true;
};

/// A thread that can be joined. Movable; the handle is not itself synchronized, but any number of
/// threads may call its const members at once.
class Thread {
 public:
  /// No thread. Everything but assignment, `joinable` and the destructor is an error.
  Thread() noexcept = default;

  /// Runs a decayed copy of `function` and `arguments` in a new thread. A function that can be
  /// called with a std::stop_token before the arguments gets one, as std::jthread's: a stop that is
  /// requested interrupts the thread with SystemExit, and an interrupt with that requests its stop.
  /// @throws error as `start_new_thread`; std::invalid_argument as `stack_size(std::size_t)`
  template <class F, class... A>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Thread> &&
           !std::is_same_v<std::remove_cvref_t<F>, ThreadOptions>) explicit Thread(F&& function,
                                                                                   A&&... arguments)
      : Thread(ThreadOptions{}, std::forward<F>(function), std::forward<A>(arguments)...) {}

  template <class F, class... A>
  explicit Thread(ThreadOptions options, F&& function, A&&... arguments) {
    if constexpr (std::is_invocable_v<std::decay_t<F>, std::stop_token, std::decay_t<A>...>) {
      std::stop_source stop;
      auto copy = ThreadFunction::copy_of(std::forward<F>(function), stop.get_token(),
                                          std::forward<A>(arguments)...);
      start(std::move(options), std::move(copy), std::move(stop));
    } else {
      start(std::move(options),
            ThreadFunction::copy_of(std::forward<F>(function), std::forward<A>(arguments)...),
            std::stop_source(std::nostopstate));
    }
  }

  Thread(Thread&&) noexcept = default;
  /// Joins the thread that it held before, if any.
  Thread& operator=(Thread&& other);

  /// Does as AtScopeEnd says, and drops the thread's exception (the excepthook had it): call
  /// `join()` first to see that. Nothing is thrown here. An interrupt that comes to the calling
  /// thread while it waits, or a TimeLimit of its that is over, is passed on as SystemExit to the
  /// thread that it waits for, and is delivered at the next safe point; in a HoldInterrupts it
  /// waits for that.
  ~Thread();

  /// Waits until the thread has ended: its function, its thread-local destructors, its stack
  /// released. A safe point. Any number of threads may join, at once and again: each returns, and
  /// each gets the exception that ended the thread, if one did.
  /// @throws error "cannot join current thread"; "thread not started": there is no thread;
  ///         whatever ended the thread; whatever an interrupt delivers
  void join() const;

  /// The same with a limit, in seconds or a duration. False: the thread still runs.
  /// @throws also as Timeout::deadline
  bool join(Timeout timeout) const;

  /// Lets the thread go its way: this has no thread any more, and waits for none.
  /// @throws error "thread not started": there is no thread
  void detach();

  /// Interrupts the thread as `underthread::interrupt` does, and no other: not one that has its
  /// ident later. False: it has ended. Without an exception: SystemExit, which ends it silently.
  /// @throws error "thread not started"; std::invalid_argument as `underthread::interrupt`
  bool interrupt() const;
  bool interrupt(std::exception_ptr exception) const;
  template <class E>
  requires(!std::is_convertible_v<E&&, std::exception_ptr>) bool interrupt(E&& exception) const {
    return interrupt(std::make_exception_ptr(std::forward<E>(exception)));
  }

  /// The stop of a function that takes a std::stop_token; without a state if it takes none.
  /// @throws error "thread not started"
  std::stop_source get_stop_source() const;
  std::stop_token get_stop_token() const { return get_stop_source().get_token(); }
  /// Interrupts the thread with SystemExit, and requests its stop if it takes a std::stop_token.
  /// False: it has ended, or was asked before.
  /// @throws error "thread not started"
  bool request_stop() const {
    if (!ask_to_stop()) return false;
    std::stop_source stop = get_stop_source();
    return stop.stop_possible() ? stop.request_stop() : interrupt();
  }

  /// True when the thread has ended, or did not survive the fork that made this process.
  bool is_done() const;

  /// True when this handle has a thread, ended or not.
  bool joinable() const noexcept { return state_ != nullptr; }

  /// Its ident; keeps its value after the thread has ended, when another thread may have it.
  Ident ident() const;
  /// Its kernel id. Waits, if it must, for the moment that the thread takes to learn it.
  std::uint64_t native_id() const;
  const std::string& name() const;
  /// The system's own handle of it: a pthread_t. Neither to be joined nor detached; gone when this
  /// is joined.
  std::uintptr_t native_handle() const { return ident(); }

  // For bindings; see lock.h.

  /// Joins as `wait` says, without what ended the thread.
  /// @throws error "cannot join current thread"; "thread not started"
  lot::WaitEnd join_waiting(lot::Wait& wait) const;

 private:
  class State;

  void start(ThreadOptions options, std::unique_ptr<ThreadFunction> function,
             std::stop_source stop);
  State& state() const;
  bool ask_to_stop() const;

  std::shared_ptr<State> state_;
};

/// Ends the calling thread by throwing SystemExit (document: `_thread.exit`).
[[noreturn]] void exit();

/// What an exception that left a thread's function says of itself (Python: `_ExceptHookArgs`).
struct ExceptHookArgs {
  std::exception_ptr exception;
  std::string type;  ///< the exception's type, readable
  std::string what;  ///< what() of a std::exception, else empty
  std::string name;  ///< the thread's; empty where it was given none
  Ident ident = 0;
};

using ExceptHook = std::function<void(const ExceptHookArgs&)>;

/// Sets what happens to an exception that leaves a thread's function, other than SystemExit, and
/// returns what was set before. Empty, and so at the start: one line on stderr. The hook runs in
/// the thread that ends; what it throws is reported on stderr and goes no further.
ExceptHook set_excepthook(ExceptHook hook);

/// The stack size of new threads, in bytes; 0: the system's default (document:
/// `_thread.stack_size`).
std::size_t stack_size() noexcept;

/// Sets it for threads started from now on and returns what it was: 0, or at least 32,768. Rounded
/// up to whole pages. A new thread gets this much or more: glibc uses the stacks of ended threads
/// again where they are at most four times as large.
/// @throws std::invalid_argument "size not valid: N bytes": anything else, or more than fits
std::size_t stack_size(std::size_t size);

}  // namespace underthread
