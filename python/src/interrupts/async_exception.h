// Asynchronous exceptions: how a thread other than the main one is told of an exception.
//
// `PyThreadState_SetAsyncExc` takes a class, which the interpreter calls where it raises it. So it
// is told of a class of ours whose making gives the exception that was sent. Each such class is for
// one exception at a time, and keeps it until it has been made: so nothing is lost where the
// interpreter makes it late (up to 3.11, where somebody looks at it), and it is seen whether it is
// still on its way.
//
// From 3.12 on any class will do, and ours are derived from BaseException alone. Up to 3.11 C code
// asks for the class before an instance is made, so ours is derived from the exception's. That one
// does not know: no `__init_subclass__`, metaclass or `__subclasses__()` of the program's sees
// ours.
//
// A class costs more to make than all the rest of an interrupt: the last few are kept.
#pragma once

#include <array>
#include <cstdint>

#include <underthread/ident.h>

#include "cpython/cpython.h"
#include "interrupts/mailbox.h"

namespace underthread::python {

/// One such class, and what it is to give: a Python object, not for Python code.
struct AsyncClass {
  PyObject_HEAD Interrupts* all;  ///< null: its interpreter has ended
  PyObject* told;                 ///< the class. Borrowed: it has this
  PyObject* base;                 ///< what it is derived from. Borrowed
  Py_ssize_t references;          ///< that the class has of itself
  // Guarded by Guard.
  Kind kind;            ///< of what it is to give
  Py_ssize_t ours;      ///< references to the class: of a Pending, and of `AsyncClasses`
  const Pending* user;  ///< whose exception it is to give, and which may have gone since, where it
                        ///< is on its way to be made. Null: nobody's. Compared only
  PyObject* exception;  ///< a reference; null: a limit's, or none
  TimeLimit* limit;     ///< borrowed: it gives this back before it goes. Null: none
};

struct AsyncClasses {
  PyTypeObject* type;
  std::array<PyObject*, 32> kept;  ///< classes, references; null: none yet
  unsigned next;                   ///< to be replaced
};

/// The type of AsyncClass; null: a Python error is set.
PyTypeObject* make_async_class_type(PyObject* module);

/// Gives `user` one, `async_class`, for an exception, an instance or a class. @return false: a
/// Python error is set. Not under Guard.
bool take_class(Interrupts& all, PyObject* exception, Pending& user);
/// It has been made, or is not to be; it may be another's by now. Does nothing where there is none.
/// Not under Guard.
void give_back(Pending& user);

/// Up to 3.11: whether the interpreter, or somebody else, still has the class, to make it.
bool is_on_its_way(const AsyncClass& it);

/// The interpreter's number of the state of the thread of that ident, which no other ever has. 0:
/// there is no such thread, or, without a GIL, it is another.
std::uint64_t state_number(const Interrupts& all, Ident ident);
/// What `async_exc` of a thread holds, borrowed and to be compared. Null: nothing, no such thread,
/// or, without a GIL, another thread, whose state cannot be looked at.
const PyObject* async_exception_of(const Interrupts& all, Ident ident);
/// Whether there is a thread of that ident, as far as its states tell. Without a GIL: true.
bool has_thread(const Interrupts& all, Ident ident);
/// Whether `frame` is on the stack of the thread of that ident. Without a GIL: false for another
/// thread.
bool has_frame(const Interrupts& all, Ident ident, PyObject* frame);

/// The code that the thread of that ident runs, a reference, and how far it is in that. Null: none.
/// Without a GIL: null for another thread.
PyObject* code_of(const Interrupts& all, Ident ident, int& instruction);

/// Up to 3.12, after an exception that was told has been withdrawn: all threads go on looking for
/// it, which costs time, and on 3.11 traced code does nothing else any more. Ends that, by a line
/// of Python that raises and whose error is dropped. An error that is set stays; else what others
/// have sent may be raised here: @return false: it is. Not under Guard. The main thread, which
/// withdraws nothing, leaves it to others, since handlers would run here: but for `in_main`.
bool settle_interpreter(Interrupts& all, bool in_main = false);
/// What it needs, made when nobody is interrupted yet.
void prepare_to_settle(Interrupts& all);

/// Whether the thread of that ident is in `thread.start()`. Without a GIL: true.
bool is_starting(const Interrupts& all, Ident ident, PyObject* thread);

int visit_async_classes(const AsyncClasses& classes, visitproc visit, void* arg);
void forget_async_classes(AsyncClasses& classes);

}  // namespace underthread::python
