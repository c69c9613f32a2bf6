// A thread that returns something: what its function returned, or what ended it, is for whoever
// asks for it.
#pragma once

#include <underthread/errors.h>
#include <underthread/thread.h>

#include <functional>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <variant>

namespace underthread {

namespace detail {

/// Of what cannot be called nothing is said here: Thread's own error is clearer.
template <class F, class... A>
struct ResultOf {
  using type = void;
};
template <class F, class... A>
requires(std::is_invocable_v<F, A...> &&
         !std::is_invocable_v<F, std::stop_token, A...>) struct ResultOf<F, A...>
    : std::invoke_result<F, A...> {
};
template <class F, class... A>
requires(std::is_invocable_v<F, std::stop_token, A...>) struct ResultOf<F, A...>
    : std::invoke_result<F, std::stop_token, A...> {
};

/// What is kept of a function that has returned a T.
template <class T>
using Kept = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// Calls a function and keeps what it returns. It takes what the function takes, a std::stop_token
/// too.
template <class F, class T>
struct KeepResult {
  F function;
  std::shared_ptr<std::optional<Kept<T>>> result;

  template <class... A>
  requires(std::is_invocable_v<F, A...>) void operator()(A&&... arguments) {
    if constexpr (std::is_void_v<T>) {
      std::invoke(std::move(function), std::forward<A>(arguments)...);
      result->emplace();
    } else {
      result->emplace(std::invoke(std::move(function), std::forward<A>(arguments)...));
    }
  }
};

}  // namespace detail

template <class F, class... A>
using TaskResult = typename detail::ResultOf<std::decay_t<F>, std::decay_t<A>...>::type;

/// Its function runs in a thread, as a Thread's, and returns a T, which `get` gives.
///
///     Task sum([&] { return std::accumulate(part.begin(), part.end(), 0L); });
///     …
///     total += sum.get();
template <class T>
class [[nodiscard]] Task {
  static_assert(!std::is_reference_v<T>,
                "return a pointer, or std::ref of what is to be referred to");

 public:
  /// @throws as Thread
  template <class F, class... A>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Task> &&
           !std::is_same_v<std::remove_cvref_t<F>, ThreadOptions>) explicit Task(F&& function,
                                                                                 A&&... arguments)
      : Task(ThreadOptions{}, std::forward<F>(function), std::forward<A>(arguments)...) {}

  template <class F, class... A>
  explicit Task(ThreadOptions options, F&& function, A&&... arguments)
      : thread_(unreported(std::move(options)), keep(std::forward<F>(function)),
                std::forward<A>(arguments)...) {}

  /// Joins the thread, and gives what its function returned: once. A safe point. What ended the
  /// function is thrown here; the excepthook gets it only where nobody has called this.
  /// @throws as Thread::join; error "the result was taken before"; "the task has no result:
  ///         SystemExit ended it, or a fork"
  T get() {
    thread_.join();
    if (!result_->has_value())
      throw error(is_taken_ ? "the result was taken before"
                            : "the task has no result: SystemExit ended it, or a fork");
    if constexpr (!std::is_void_v<T>) {
      T value = std::move(**result_);
      result_->reset();
      is_taken_ = true;
      return value;
    }
  }

  /// To join it with a limit, interrupt it, or ask whether it is done.
  Thread& thread() noexcept { return thread_; }
  const Thread& thread() const noexcept { return thread_; }

 private:
  static ThreadOptions unreported(ThreadOptions options) {
    options.reports_exception = false;
    return options;
  }

  template <class F>
  auto keep(F&& function) {
    return detail::KeepResult<std::decay_t<F>, T>{std::forward<F>(function), result_};
  }

  std::shared_ptr<std::optional<detail::Kept<T>>> result_ =
      std::make_shared<std::optional<detail::Kept<T>>>();
  bool is_taken_ = false;
  Thread thread_;
};

template <class F, class... A>
requires(!std::is_same_v<std::remove_cvref_t<F>, ThreadOptions>) Task(F&&, A&&...)
->Task<TaskResult<F, A...>>;
template <class F, class... A>
Task(ThreadOptions, F&&, A&&...) -> Task<TaskResult<F, A...>>;

}  // namespace underthread
