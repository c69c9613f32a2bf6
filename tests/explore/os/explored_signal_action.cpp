// os/signal_action.h for a process in which nobody else sets signals: rows say when one comes.
#include "os/signal_action.h"

#include "engine/machine.h"

namespace underthread::os {

int last_signal() noexcept {
  return 64;
}

SignalAction signal_action(int, ForeignAction*) noexcept {
  return SignalAction::ours;
}

int set_signal_action(int, SignalAction, void (*)(int), const ForeignAction*) noexcept {
  return 0;
}

void die_of_signal(int) noexcept {
  explore::machine.fail("a signal would have ended the process");
}

}  // namespace underthread::os
