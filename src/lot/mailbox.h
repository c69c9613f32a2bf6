// Mailbox: what other threads send to one thread. Anyone puts a letter, and the thread takes them
// in the order in which they were put.
//
//   closed  its thread has not begun, or has ended: nothing is put
//   open    `put` pushes a letter in front of those that came before it, as a stack; `take` takes
//           the whole stack when it has nothing left, and turns it round
//
// Nobody waits for anybody, and a put costs the same however many there are. A mailbox is part of a
// thread's record, which is used again: a letter says for which of the record's threads it is, and
// one that comes late is dropped by the next.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace underthread::lot {

/// Something sent to a thread, which it takes at a safe point. What it carries is the sender's
/// business; one that its thread did not live to take is deleted.
struct Letter {
  Letter() = default;
  Letter(const Letter&) = delete;
  Letter& operator=(const Letter&) = delete;
  virtual ~Letter() = default;

  Letter* next = nullptr;
  std::uint32_t holder = 0;  ///< whose it is, as a lock word names a thread
};

class Mailbox {
 public:
  /// By whoever makes its thread known, before others can find it.
  void open() noexcept { arrived_.store(nullptr, std::memory_order_relaxed); }

  /// Any thread. False: it is closed, and the letter is still the caller's.
  bool put(Letter& letter) noexcept;

  /// In its thread: the oldest letter for `holder`, now the caller's; null: there is none. `more`:
  /// others are left.
  Letter* take(std::uint32_t holder, bool& more) noexcept;

  /// In its thread: a letter that was taken is the oldest again.
  void put_back(Letter& letter) noexcept;

  /// In its thread, a signal handler of which may ask: whether one may be left.
  bool has_any() const noexcept;
  /// How many there are, where nobody puts or takes one meanwhile.
  std::size_t count() const noexcept;

  /// In its thread, or once that has ended: from now on nothing is put. What is left is deleted,
  /// which may run a user's destructors.
  void close() noexcept;

  /// Closes it and drops the letters where they lie: in the child of a fork, where they were sent
  /// to the parent and the list may have been caught half changed; and where their thread is gone.
  void forget() noexcept;

 private:
  /// No letter, but what a closed mailbox has in its place.
  static Letter* closed() noexcept;
  void sort_arrived() noexcept;

  // release when a letter is put, acquire when it is taken: what was written into it is seen. Only
  // `take` and `close` take letters out, all at once, so a letter that is in front at a put's
  // compare-and-swap is the one that was read.
  std::atomic<Letter*> arrived_{closed()};
  // Taken out and in order. The thread's own.
  Letter* first_ = nullptr;
};

}  // namespace underthread::lot
