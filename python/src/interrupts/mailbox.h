// What is pending for the threads of an interpreter: exceptions that were sent to them, and time
// limits that are over. First sent, first raised.
//
//   queued       in the thread's mailbox: held off, behind another, or for a block whose frame is
//   not
//                on the thread's stack
//   told         the interpreter has our class (async_exception.h) in `PyThreadState.async_exc` and
//                raises it at its next check. One at a time, since there is room for one. The main
//                thread is told in another way (main_thread.h); there they stay queued
//   not_made     up to 3.11: the interpreter has raised our class and not made an instance yet. In
//   no
//                mailbox any more; the class has it
//   overwritten  somebody else has called PyThreadState_SetAsyncExc since: ours is dropped, as on
//                stock CPython, and what was sent after it is told next
//
// What the interpreter was told is compared with `async_exc` before it is believed: `refresh`.
#pragma once

#include <underthread/ident.h>

#include <cstdint>

#include "cpython/cpython.h"
#include "lot/callback.h"

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
  TimeLimit* limits;  ///< in force and not over, the earliest first
  TimeLimit* blocks;  ///< that have been entered and not left
  Mailbox* next;
};

/// What became of all that `underthread.interrupt` has accepted: raised, overwritten by somebody
/// else, dropped because the thread had ended, or pending.
struct Account {
  std::uint64_t accepted, raised, overwritten, dropped;
};

/// Sends an exception, an instance, to the thread of that ident. @return whether it was accepted;
/// false: there is no such thread in this interpreter, or, if `PyErr_Occurred()`, an error
/// @param is_meant  asked last, with no other thread running until it is sent: whether the ident is
/// still the one that is meant
bool send(Interrupts& all, Ident ident, PyObject* exception, lot::Callback<bool()> is_meant);

/// Holds off what is sent to this thread. Nests. @param is_first  whether nothing held it off
/// before.
/// @return false: a Python error is set, and nothing is held
bool hold(Interrupts& all, bool& is_first);
/// The end of that. What is due then is raised by `raise_due`. @return whether it was the last
bool release(Interrupts& all);
/// The end of a hold of another thread, by its ident and record. @return whether it was the last;
/// what is due there has been told to its thread
bool release_for(Interrupts& all, Ident ident, std::uint32_t holder);
/// Whether this thread holds anything off.
bool is_held(Interrupts& all);
/// Whether that thread does: by its ident and record. One whose code has ended does not.
bool is_held_by(Interrupts& all, Ident ident, std::uint32_t holder);

/// In the thread itself, in a wait of ours or where it looks for what is due: raises the first that
/// is, also of limits whose time is up now. @param what it waits for, for a limit's text; null: it
/// does not wait. @return false: a Python error is set
bool raise_due(Interrupts& all, const char* what);

/// Until when this thread may wait: the end of the first of its limits that may be raised now, ns
/// of the monotonic clock; lot::never: there is none.
std::int64_t next_limit(Interrupts& all);

/// A start that has failed, for the thread that is in `Thread.start()`. `pending`, made before,
/// goes to that thread's mailbox, or stays the caller's where this returns false: there is no
/// memory, or nobody waits for the start any more.
bool send_start_failure(Interrupts& all, Ident ident, Pending& pending);

/// A limit is in force from now on, in this thread, until its `deadline`; its `pending` is filled.
/// @return false: a Python error is set
bool enter(Interrupts& all, TimeLimit& limit);
/// The block has been left, in its own thread. What was not raised for it never is.
void leave(Interrupts& all, TimeLimit& limit);
/// A limit goes, in any thread, that was never left.
void abandon(Interrupts& all, TimeLimit& limit);

/// Limits of any thread that are over by now are sent. With the GIL. @return when to look again: ns
/// of the monotonic clock; lot::never: no limit is in force
std::int64_t expire_limits(Interrupts& all, std::int64_t now);
/// When the timekeeper is to look, at the latest, or for `by_timekeeper` unset the main thread's
/// alarm is to ring. Under Guard.
std::int64_t first_deadline(const Interrupts& all, bool by_timekeeper);

/// Gives back what a Pending refers to, and itself if it is one that was sent. Not under Guard.
void drop(Interrupts& all, Pending* pending);
/// Takes what was told to this thread by `it` out of its mailbox, if it is there, since it is being
/// made; the next is told. @param held_off  not yet, since making it may run code: what came there
/// would be in its place. @return whether it was there: `end_making` goes with that
bool take_made(Interrupts& all, AsyncClass& it, bool held_off);
void end_making(Interrupts& all);

/// A thread's last act, with its state: what it has not raised is dropped.
void forget_mailbox(Interrupts& all);
/// In a fork's child, before anything of Python's runs there: the interpreter is not to raise what
/// it has been told for the parent. Async-signal-safe.
void forget_told();
/// In a fork's child: all mailboxes but this thread's, and what was pending for that.
void keep_own_mailbox(Interrupts& all);
/// The interpreter's end, or the module's.
void forget_mailboxes(Interrupts& all);

}  // namespace underthread::python
