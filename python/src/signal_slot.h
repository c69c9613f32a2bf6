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
/// called.
void claim_signal_slot();

/// In the main thread, with the GIL: from now on each signal that the interpreter handles by now
/// wakes the main thread from a wait of ours, whichever thread takes it. Not for those that are
/// given a handler later.
void watch_signals();

}  // namespace underthread::python
