// Request signals: by one of them a person (`kill -QUIT`), another process or a timer asks this
// process for something. Their handler finds out who asked and calls one function.
//
// A handler is put only where it is wanted, and the action before comes back unless the program has
// set another since. System calls that a request comes into end with EINTR, as by any handler that
// a Python program sets. Children by fork have the same handlers, and none of the timers.
//
// Processes and timers use SIGURG, as nudges do: whoever resets its handler, or becomes another
// process, ignores it by default, where a real-time signal would end the process.
#pragma once

#include <csignal>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace underthread::os {

struct Request {
  enum class From : std::uint8_t {
    anybody,  ///< by kill, or a key of the terminal
    process,  ///< by `ask_process`
    timer,    ///< by `RequestTimer`
  };
  From from = From::anybody;
  /// Whether a timer could ask in this thread, once the handler has returned.
  bool may_have_timer = false;
  std::uint64_t process = 0;  ///< who asked, for `From::process`
  int value = 0;              ///< as `ask_process` or the timer was given it
};

/// @param signum  by which people ask; SIGURG: by which processes and timers do
/// @param asked  async-signal-safe; called in whatever thread takes the signal, with errno kept
/// @return 0, or an errno value: nothing was changed
int take_request_signal(int signum, void (*asked)(const Request&)) noexcept;
/// Whether the handler that is in force is that one.
bool is_request_signal(int signum) noexcept;
/// The action that was there before is in force again, unless the program has set another since.
void give_back_request_signal(int signum) noexcept;

/// The handler, for who compares.
void handle_request(int signum, siginfo_t* info, void* context);

/// The last real-time signal about which nobody does anything; 0: there is none.
int unused_real_time_signal() noexcept;

/// Asks another process by its request signal. @return 0, or an errno value
int ask_process(std::uint64_t process, int signum, int value) noexcept;

/// A descriptor of another process of the same user, opened anew for writing; -1: it cannot be had.
/// Async-signal-safe.
int open_descriptor_of(std::uint64_t process, int descriptor) noexcept;

/// A descriptor with exactly that number for the same file; false: the number is in use, or not to
/// be had. Async-signal-safe.
bool duplicate_as(int descriptor, int number) noexcept;
/// Calls a function in a child that is a copy of this process at this moment, with this thread
/// alone: what crashes there, or never comes back, is not this process. Waits until it has ended,
/// for a second at most. The program's `wait` does not see it. Async-signal-safe.
/// @return false: there can be no child, or it did not end well
bool run_in_copy(void (*function)(void*), void* argument) noexcept;

bool is_open(int descriptor) noexcept;
/// Async-signal-safe.
void close_descriptor(int descriptor) noexcept;

/// This process, as the system numbers it. Async-signal-safe.
std::uint64_t process_id() noexcept;

/// Memory of its own, mapped: for text that a signal handler keeps. What has no room is left out.
/// Async-signal-safe.
class KeptText {
 public:
  /// Room for so many bytes; what was kept before is gone. Where it cannot be had: none.
  void make_room(std::size_t size) noexcept;
  void add(std::string_view text) noexcept;
  std::string_view view() const noexcept { return {data_, size_}; }
  void unmap() noexcept;

 private:
  char* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t room_ = 0;
};

/// A timer of the kernel's that asks in the thread that has started it, `From::timer`: first after
/// a time, and then again and again, if there is a pause. Times are in ns. Async-signal-safe.
class RequestTimer {
 public:
  /// @param value  from 0 to 15
  /// @return false: the system has no timer left, or SIGURG has another handler
  bool start(int value, std::int64_t first, std::int64_t pause) noexcept;
  void stop() noexcept;
  /// In the child of a fork, which has none.
  void forget() noexcept { timer_.store(-1, std::memory_order_relaxed); }

 private:
  // The kernel's number; -1: none. relaxed: a number on its own.
  std::atomic<int> timer_{-1};
};

/// A name that other processes can read in /proc/PID/maps, until `take_down`, or until this process
/// becomes another by exec. The children of a fork have it too.
class Notice {
 public:
  /// @param name  at most 249 bytes, none of them '/'. Shown as "/memfd:NAME (deleted)"
  /// @return false: the system cannot
  bool put_up(const char* name) noexcept;
  void take_down() noexcept;

 private:
  void* page_ = nullptr;
};

}  // namespace underthread::os
