#include "interrupts/signal_wait.h"

#include <utility>

#include "interrupts/async_exception.h"
#include "interrupts/interrupts.h"
#include "os/signal_mask.h"

namespace underthread::python {
namespace {

/// Whoever waited for the GIL has it just as the thread goes into its call, and then looks until it
/// is there. Not for long: it may run C code. Without a GIL it may run anything.
constexpr int looks = UNDERTHREAD_HAS_GIL ? 16 : 2;

}  // namespace

SignalWait::SignalWait(Interrupts* all, Ident ident) : all_(all) {
  if (!all_) return;
  place_.code = code_of(*all_, ident, place_.instruction);
  if (!place_.code) return;
  for (const CodePlace& known : all_->places.known)
    is_known_ = is_known_ || (known.code == place_.code && known.instruction == place_.instruction);
}

SignalWait::~SignalWait() {
  if (is_learnt_ && place_.code) {
    CodePlaces& places = all_->places;
    std::swap(places.known[places.next++ % places.known.size()], place_);
  }
  Py_XDECREF(place_.code);
}

bool SignalWait::is_for(std::uint64_t native_id, int signum) {
  if (is_known_) return false;
  const os::WaitsFor found = os::waits_for(native_id, signum, looks);
  // One that waits for the GIL may have made its call already: it is at the place all the same.
  is_learnt_ = found == os::WaitsFor::another_call;
  is_unclear_ = found == os::WaitsFor::nothing;
  return found == os::WaitsFor::the_signal;
}

int visit_code_places(const CodePlaces& places, visitproc visit, void* arg) {
  for (const CodePlace& each : places.known) Py_VISIT(each.code);
  return 0;
}

void forget_code_places(CodePlaces& places) {
  for (CodePlace& each : places.known) Py_CLEAR(each.code);
}

}  // namespace underthread::python
