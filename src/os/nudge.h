// Nudge: ends the system calls of one thread with EINTR, by a signal whose handler does nothing
// else, until somebody says that it is enough.
//
//   put away  it has no thread and no timer; nothing is sent. To closed: `aim`
//   closed    it has a thread; nothing is sent. To open: `open`. To put away: `put_away`
//   open      `begin` and its like send, or set the timer. To closing: `close`
//   closing   whoever found it open may still be sending, and `close` sleeps until they are done.
//             To closed: the last of them
//
// Its thread moves it; in the child of a fork `forget_all` puts all away. Senders may be anybody.
//
// Until: a signal that comes between a thread's last look around and its system call ends nothing.
// So with the first a timer is set for the next one, and its handler, in the thread itself, sets it
// anew, with growing pauses. Where the handler does not run, the timer goes on by itself each 100
// ms. A thread that has the signal blocked takes none of them.
#pragma once

#include <atomic>
#include <csignal>
#include <cstdint>

namespace underthread::os {

/// Put away at first. Never destroyed: whoever has a pointer to one may use it for ever,
/// in a signal handler too.
class Nudge {
 public:
  /// The signal that nudges are sent with from now on: `number`, or for 0 one that the program does
  /// nothing about: SIGURG, which is ignored by default, else one of the last real-time signals.
  /// Again: the one that is in use, unless the program has given it a handler of its own since.
  /// `nudged` is called in the handler, in whatever thread that runs, and so are those of earlier
  /// claims, in their order: each is to find out whether it is meant, and must be
  /// async-signal-safe. Room for four.
  /// @param but  not this one; 0: any
  /// @return the number; 0: the program uses the one that was asked for, or all that may be taken
  static int claim(int number, void (*nudged)(), int but = 0) noexcept;

  /// Gives SIGURG its default action back, where `claim` has taken it and nobody has installed
  /// another action since: by default the system ignores it, so one that is still on its way does
  /// no harm. A real-time signal ends the process by default, and keeps our handler. The caller
  /// sees to it that nobody claims one meanwhile, and that no nudge is open.
  static void let_go() noexcept;

  /// What handles a nudge's signal; and whether one that another handler got for it is a nudge.
  static void handle(int signum);
  static bool is_one(const siginfo_t& info) noexcept;

  /// What UNDERTHREAD_NUDGE in the environment says; 0: nothing; -1: what is no signal's number,
  /// or that of one that cannot be used.
  static int number_wanted() noexcept;

  /// In the child of a fork: it has none of the timers, and nobody is nudged who was in the parent.
  /// All are closed.
  static void forget_all() noexcept;

  /// Aims at a thread of this process, by the kernel's number. The caller sees to it that nobody
  /// else calls this meanwhile, and that it is closed if it was aimed at another. False: the system
  /// has no timer left; then nudges are sent once and not again.
  bool aim(std::uint64_t native_id, int signum) noexcept;

  /// Whether it has no timer of the system's.
  bool is_put_away() const noexcept { return timer_.load(std::memory_order_relaxed) < 0; }
  /// The signal that it was last aimed with; 0: none.
  int signum() const noexcept { return signum_.load(std::memory_order_relaxed); }

  /// From now on `begin` and its like do something.
  void open() noexcept;
  /// In the thread that it is aimed at: from now on they do nothing, and once this has returned no
  /// nudge comes any more, though the thread may have its signal blocked. Sleeps while another is
  /// about to send one. Not in a signal handler. Leaves errno alone.
  void close() noexcept;

  /// `close`, and gives the system its timer back.
  void put_away() noexcept;

  /// In a thread that blocks the signal: takes the nudges that wait there, before somebody takes
  /// one for a signal that was sent to the program. What others have sent stays. Where the signal
  /// is not blocked, does nothing.
  static void discard(int signum) noexcept;

  /// Nudges a thread of this process, by the kernel's number, once. Async-signal-safe.
  static void send_once(std::uint64_t native_id, int signum) noexcept;

  /// `aim`, without a timer: where it is aimed at, `again` gets itself one.
  void aim_without_timer(std::uint64_t native_id, int signum) noexcept;
  /// Nudges now, and once: its handler, in the thread, goes on from there by `again`.
  void begin_here() noexcept;

  /// Nudges now, and from then on until `stop`, which the handler is to call if nothing is awaited
  /// any more; else `again`. Any thread. Async-signal-safe, as what follows.
  void begin() noexcept;
  /// The same, but the first nudge comes after the first pause.
  void begin_later() noexcept;
  /// The same, but the first nudge comes at that moment: ns of the monotonic clock.
  void begin_at(std::int64_t moment) noexcept;
  /// The same, and only that one where its handler does not run.
  void begin_once_at(std::int64_t moment) noexcept;
  /// After a pause of 1, 5, 20 and then each time 100 ms.
  void again() noexcept;
  /// No nudge is sent any more, but for those that others begin meanwhile.
  void stop() noexcept;

 private:
  // In `state_`: whether it is open; whether `close` sleeps until nobody sends; and, from there up,
  // how many are between `enter` and `leave`.
  static constexpr std::uint32_t open_bit = 1;
  static constexpr std::uint32_t closer_sleeps = 2;
  static constexpr std::uint32_t one_sender = 4;

  bool enter() noexcept;
  void leave() noexcept;
  bool make_timer() noexcept;
  void delete_timer() noexcept;
  void set_timer(std::int64_t ns, bool is_moment, bool once = false) noexcept;
  void pause_and_nudge() noexcept;

  // What `aim` writes. Relaxed: read between `enter` and `leave`, which open and close order.
  std::atomic<std::uint64_t> native_id_{0};
  std::atomic<int> signum_{0};
  // The kernel's number of its timer; -1: none. Made by `aim`, or in the thread itself.
  std::atomic<int> timer_{-1};

  // Read-modify-writes, acquire and release. Who has something for a thread writes it and then
  // enters; a thread opens and then looks for it. Of the two one is first in the order of this
  // word: either the sender finds it open, or the thread acquires what was written. And who closes
  // finds every sender that found it open; the last of them finds that it sleeps, or it sees that
  // there is none.
  std::atomic<std::uint32_t> state_{0};
  // The timer may run, or a nudge be on its way. Relaxed: set before that, by whoever does it;
  // `close` clears it when there is nobody else.
  std::atomic<bool> is_set_{false};
  // Relaxed: a number on its own.
  std::atomic<std::uint32_t> pauses_{0};
  // The one that was first aimed before this one. Written before the list's head, in `aim`.
  Nudge* next_ = nullptr;
  bool is_listed_ = false;
};

}  // namespace underthread::os
