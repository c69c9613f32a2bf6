// Whether a thread waits for a signal by itself (`sigwait`, `sigtimedwait`). It would take a nudge
// for a signal that somebody has sent: so it gets none.
//
// The system tells that, in /proc, and takes longer for it than for all the rest of a nudge. So it
// is remembered where in the code threads were that did not wait for a signal: whoever has the GIL,
// and finds a thread at such a place, knows what that calls. Only where one place calls now this
// and now that, as `function(*arguments)`, and once `sigtimedwait` itself, can that be wrong.
#pragma once

#include <underthread/ident.h>

#include <array>
#include <cstdint>

#include "cpython/cpython.h"

namespace underthread::python {

struct Interrupts;

struct CodePlace {
  PyObject* code;  ///< a reference; null: none
  int instruction;
};

/// Places where threads have been that waited for no signal. With the GIL.
struct CodePlaces {
  std::array<CodePlace, 4> known;
  unsigned next;  ///< to be replaced
};

/// Looks where a thread is when it is made, and remembers that when it goes, if the system had to
/// be asked. Both with the GIL, if `all` is given, and outside of all locks.
class SignalWait {
 public:
  /// @param all  of the thread's interpreter, which is this one; null: the thread cannot be looked
  /// at
  SignalWait(Interrupts* all, Ident ident);
  ~SignalWait();
  SignalWait(const SignalWait&) = delete;
  SignalWait& operator=(const SignalWait&) = delete;

  /// Whether the thread waits for that signal; by the kernel's number of the same thread. Where it
  /// runs, and goes on running, that cannot be told: `is_unclear`.
  bool is_for(std::uint64_t native_id, int signum);
  bool is_unclear() const { return is_unclear_; }

 private:
  Interrupts* all_;
  CodePlace place_ = {};
  bool is_known_ = false;
  bool is_learnt_ = false;
  bool is_unclear_ = false;
};

int visit_code_places(const CodePlaces& places, visitproc visit, void* arg);
void forget_code_places(CodePlaces& places);

}  // namespace underthread::python
