// What the library throws. Expected ends of a wait are returned; these are for requests refused.
//
//   error                  RuntimeError     release of an unlocked lock, a thread that cannot start
//   std::invalid_argument  ValueError       an argument out of its range
//   std::overflow_error    OverflowError    a timeout above TIMEOUT_MAX, too many re-entries
//   SystemExit             SystemExit       end this thread
//   KeyboardInterrupt      KeyboardInterrupt the user pressed Ctrl-C
//   TimeoutError           TimeoutError      the time of a TimeLimit is up
//
// Whatever throws one of these has changed nothing.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace underthread {

/// `_thread.error`, which is Python's RuntimeError.
class error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Thrown by `exit()`. Not a std::exception, as Python's is not an Exception: a handler for errors
/// must not stop a thread from ending. Uncaught, it ends its thread silently; under `run_main` it
/// ends the process with `code()`, after printing `message()` to stderr where there is one.
class SystemExit {
 public:
  SystemExit() = default;
  explicit SystemExit(int code) : code_(code) {}
  /// Python's `sys.exit("text")`: the text goes to stderr and the status is 1.
  explicit SystemExit(std::string message) : code_(1), message_(std::move(message)) {}

  int code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }

 private:
  int code_ = 0;
  std::string message_;
};

/// Thrown at safe points in the block of a TimeLimit whose time is up (time_limit.h).
class TimeoutError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Thrown by `default_int_handler`. Not a std::exception, for the same reason.
class KeyboardInterrupt {};

}  // namespace underthread
