// A number of our own among the signals that the interpreter handles: one of the last real-time
// ones, that the program does nothing about. It is never sent.
//
// What is noted for it is noticed by the main thread wherever it would notice Ctrl-C, and may raise
// there. And it shows how the interpreter takes signals, so that we can go along: its handler may
// run in any thread, or in the main thread just before that falls asleep in a wait of ours, and
// does not know that somebody is to be woken.
#pragma once

#include "cpython.h"

namespace underthread::python {

/// Takes the number, once, if this is the main thread of the main interpreter; with the GIL. Where
/// there is none to be had, or interrupts are not to be prompt, all is as if this had not been
/// called. @return false: a Python error is set, by the handler of a signal that had come; once
/// more then
bool claim_signal_slot();

/// Notes for the main thread that `raise_sent_to_main` is to be called where it handles signals.
/// Any thread with a thread state.
void note_for_signal_slot();
/// After that: sees to it that the main thread looks.
void hurry_for_signal_slot();

/// Notes a signal that the interpreter handles, as if it had come. Any thread with a thread state,
/// after `claim_signal_slot`. @return false: the interpreter's handler is not known
bool note_signal(int signum);
int signal_slot();

/// In the main thread, with the GIL: from now on each signal that the interpreter handles by now
/// wakes the main thread from a wait of ours, whichever thread takes it. Not for those that are
/// given a handler later. @return false: a Python error is set, as by `claim_signal_slot`
bool watch_signals();

}  // namespace underthread::python
