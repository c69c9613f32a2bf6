// Prompt interrupts: `interrupt_main` is noticed at once, whatever the main thread waits for.
//
// The interpreter only notes what is to run, and a main thread in a system call finds the note when
// that ends. So it is nudged (os/nudge.h), until it has looked: a pending call of the
// interpreter's, which it makes where it would run the handler, says so. In a wait of ours it is
// woken without a signal; it is nudged only if it has not looked a moment later.
#pragma once

#include <underthread/ident.h>

#include "cpython.h"

namespace underthread::python {

/// Reads UNDERTHREAD_PROMPT ("0": interrupts are as prompt as the interpreter's own) and
/// UNDERTHREAD_NUDGE (a signal's number). False: a Python error is set.
bool prepare_prompt_interrupts();

bool interrupts_are_prompt();

/// The signal that nudges are sent with: what UNDERTHREAD_NUDGE says, else one that nobody handles;
/// 0: none is to be had. `nudged`: as for os::Nudge::claim.
int claim_nudge(void (*nudged)());

/// In the main thread, where it runs handlers: what has been sent so far is found from here on.
void have_looked();

/// The main thread's; 0: it has not loaded the module.
Ident main_ident();

/// After the interpreter has noted that the handler of `signum` is to run: sees to it that the main
/// thread looks. Any thread with a thread state.
void hurry_main_thread(int signum);

/// `underthread.prompt_interrupts([on])`: sets whether interrupts are prompt; says whether they
/// were.
PyObject* prompt_interrupts(PyObject* module, PyObject* arguments);

}  // namespace underthread::python
