// How what is sent to a thread comes there: it is queued in the thread's mailbox, the interpreter
// is told of the first that is due, and it is raised; or it is held off meanwhile.
#pragma once

#include <underthread/ident.h>

#include <cstdint>

#include "cpython/cpython.h"
#include "interrupts/mailbox.h"
#include "lot/callback.h"

namespace underthread::python {

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

/// A start that has failed, for the thread that is in `Thread.start()`. `pending`, made before,
/// goes to that thread's mailbox, or stays the caller's where this returns false: there is no
/// memory, or nobody waits for the start any more.
bool send_start_failure(Interrupts& all, Ident ident, Pending& pending);

/// Takes what was told to this thread by `it` out of its mailbox, if it is there, since it is being
/// made; the next is told. @param held_off  not yet, since making it may run code: what came there
/// would be in its place. @return whether it was there: `end_making` goes with that
bool take_made(Interrupts& all, AsyncClass& it, bool held_off);
void end_making(Interrupts& all);

/// This thread is in no block any more: neither limited nor held off, and nothing is pending for
/// it.
/// @return whether it held interrupts off
bool leave_all_blocks(Interrupts& all);

/// In a fork's child: all mailboxes but this thread's, and what was pending for that.
void keep_own_mailbox(Interrupts& all);

// Under Guard:

/// What the interpreter has been told is no longer to be found there: it is being made, or somebody
/// else has told it something else.
void refresh(Interrupts& all, Mailbox& box, Gone& gone);
/// Tells the interpreter of the first that is due, unless it has been told of one. The main thread
/// is told by `tell_main_thread`, outside of Guard. @return false: there is no such thread
bool tell(Interrupts& all, Mailbox& box);
/// In the thread itself: the interpreter is not to raise what it has been told; what somebody else
/// has told it stays.
void untell(Interrupts& all, Mailbox& box, Gone& gone);
/// Whether something is queued that its thread will not come to by itself: behind one that it, or
/// somebody else, has told the interpreter, which may never call us for that. The main thread comes
/// to all that is queued.
bool has_left_over(const Interrupts& all, const Mailbox& box);
/// Says when the timekeeper is to look at the mailbox again. @return whether it is to be told:
/// `call_timekeeper`
bool plan_look(const Interrupts& all, Mailbox& box);
/// Puts an exception, for which nobody has been told yet, where its class finds it.
void fill(const Pending& pending);

/// Ends the thread's wait, if it is in one of ours, or its system call, if the interpreter would
/// raise there. Not under Guard.
void wake(Interrupts& all, Ident ident);

}  // namespace underthread::python
