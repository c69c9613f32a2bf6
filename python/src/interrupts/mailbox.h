// What is pending for the threads of an interpreter: exceptions that were sent to them, and time
// limits that are over. First sent, first raised.
//
//   queued       in the thread's mailbox: held off, behind another, or its block is suspended
//   told         the interpreter has our class (async_exception.h) in `async_exc` and raises it at
//                its next check. One at a time, since there is room for one. The main thread is
//                told in another way (main_thread.h); there they stay queued
//   not_made     up to 3.11: the interpreter has raised our class and not made an instance yet. It
//                has left its mailbox; the class has it
//   overwritten  somebody else has called PyThreadState_SetAsyncExc since: ours is dropped, as on
//                stock CPython, and what was sent after it is told next
//
// What the interpreter was told is compared with `async_exc` before it is believed: `refresh`
// (delivery.h).
#pragma once

#include <underthread/ident.h>

#include <cstdint>

#include "cpython/cpython.h"

namespace underthread::python {

struct AsyncClass;
struct Interrupts;
struct TimeLimit;

enum class Delivery : std::uint8_t { queued, told, not_made, overwritten };

enum class Kind : std::uint8_t {
  sent,           ///< by `underthread.interrupt`
  limit,          ///< a time limit that is over
  adopted,        ///< by somebody else's PyThreadState_SetAsyncExc, before one of ours
  start_failure,  ///< of a thread, for its starter; raised in waits only, and not held off
};

struct Pending {
  Kind kind = Kind::sent;
  Delivery delivery = Delivery::queued;
  /// An instance; of `adopted` a class; of a `limit` null: made where it is raised; of a
  /// `start_failure` what ended the thread, null: nothing did. A reference.
  PyObject* exception = nullptr;
  /// The block that it is for; null: none. A reference as long as this is in a mailbox.
  TimeLimit* limit = nullptr;
  /// Raised only where this frame, a limit's, is on the thread's stack. Null: anywhere. Borrowed.
  PyObject* frame = nullptr;
  /// The Thread whose start has failed. A reference; null: it is no `start_failure`.
  PyObject* thread = nullptr;
  /// Null: for the main thread, or a `start_failure`. A reference.
  AsyncClass* async_class = nullptr;
  Pending* next = nullptr;
};

/// Of one thread. Guarded by Guard, as all functions here are called under it where they do not say
/// otherwise.
struct Mailbox {
  Ident ident;
  /// Which thread that is, since an ident may be another's later: its record and generation, and
  /// the number of its thread state. 0: not known yet.
  std::uint32_t holder;
  std::uint64_t state_number;
  unsigned held;  ///< `hold_interrupts` blocks that it is in
  /// When the timekeeper looks again whether its thread can be told of more, since nobody else
  /// will: ns of the monotonic clock. lot::never: nothing is queued that its thread does not come
  /// to.
  std::int64_t look_at;
  std::int64_t looked_for_since;  ///< since when there is such a thing
  Pending* first;
  Pending* told;      ///< one of them; null: none
  TimeLimit* limits;  ///< in force and not over, or over and suspended
  TimeLimit* blocks;  ///< that have been entered and not left
  Mailbox* next;

  void append(Pending* pending);
  void remove(const Pending* pending);  ///< one that is there
  void add_limit(TimeLimit* limit);
  void remove_limit(TimeLimit* limit);  ///< if it is there, as the last one
  void enter_block(TimeLimit* limit);
  void leave_block(TimeLimit* limit);
};

/// Pendings that have left their mailbox and are to be dropped outside of Guard: on every way out
/// of the function that has one, by drop_all. A destructor cannot do it, since dropping may run
/// Python code and take the GIL.
class Gone {
 public:
  explicit Gone(Interrupts& all) : all_(all) {}
  Gone(const Gone&) = delete;
  Gone& operator=(const Gone&) = delete;
  void add(Pending* pending);
  void drop_all();  ///< not under Guard

 private:
  Interrupts& all_;
  Pending* first_ = nullptr;
};

/// What became of all that `underthread.interrupt` has accepted: raised, overwritten by somebody
/// else, dropped because the thread had ended, or pending.
struct Account {
  std::uint64_t accepted, raised, overwritten, dropped;
};

/// Gives back what a Pending refers to, and itself if it is one that was sent. Not under Guard.
void drop(Interrupts& all, Pending* pending);

/// Whether that is the main thread of the main interpreter, and this is that interpreter's.
bool is_main(const Interrupts& all, Ident ident);

/// The mailbox of an ident, whosever that is now; null: there is none.
Mailbox* find_mailbox(const Interrupts& all, Ident ident);
/// Whether a mailbox is another thread's than the one that has its ident now; what is known of that
/// one is added to it.
bool is_anothers(const Interrupts& all, Mailbox& box);
/// This thread's; null: it has none. One that a thread of the same ident has left behind, whose end
/// nobody told us of, is emptied.
Mailbox* own_mailbox(Interrupts& all, Gone& gone);
/// The thread's, made if there is none. Null: no memory.
Mailbox* mailbox_of(Interrupts& all, Ident ident, Gone& gone);
/// Whether the interpreter still has what it was told for that thread, as far as can be known;
/// something was.
bool tells(const Interrupts& all, const Mailbox& box);
/// The thread that the mailbox is of has ended.
void empty(Interrupts& all, Mailbox& box, Gone& gone);
/// Takes a mailbox out of the list if nothing is in it.
void delete_if_idle(Interrupts& all, Mailbox* box);

/// Puts the limits that are over into the queue, but for those whose frame is suspended. Of another
/// thread, those that are to be looked at by now; of this one all, since a generator may just have
/// been resumed.
void expire(Interrupts& all, Mailbox& box, std::int64_t now);
/// Of this thread, or of one that does not run: a limit that is over, and is in the queue, while
/// its block's frame is suspended is looked after again, as those that were suspended when they
/// were over.
void suspend(Interrupts& all, Mailbox& box, Gone& gone);

/// What nobody can be told of yet is looked after again after this, ns, and then each time when as
/// much time again has gone by, up to the longest.
constexpr std::int64_t first_pause = 10'000'000;
constexpr std::int64_t longest_pause = 500'000'000;
std::int64_t next_look(std::int64_t since, std::int64_t now);

/// A thread's last act, with its state: what it has not raised is dropped. Not under Guard.
void forget_mailbox(Interrupts& all);
/// In a fork's child, before anything of Python's runs there: the interpreter is not to raise what
/// it has been told for the parent. Async-signal-safe, without Guard.
void forget_told();
/// The interpreter's end, or the module's. Not under Guard.
void forget_mailboxes(Interrupts& all);

}  // namespace underthread::python
