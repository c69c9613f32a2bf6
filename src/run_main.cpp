#include <underthread/errors.h>
#include <underthread/interrupt.h>
#include <underthread/run_main.h>
#include <underthread/signals.h>

#include <csignal>
#include <cstdio>
#include <iostream>

#include "due_handlers.h"
#include "os/signal_action.h"
#include "standard_input.h"

namespace underthread {
namespace {

/// SIGINT is handled as Python does while this exists, if nobody did anything about it before.
class Sigint {
 public:
  Sigint() : is_ours_(getsignal(SIGINT) == default_action) {
    if (is_ours_) signal(SIGINT, default_int_handler);
  }
  ~Sigint() { give_back(); }
  Sigint(const Sigint&) = delete;
  Sigint& operator=(const Sigint&) = delete;

  /// Another Ctrl-C ends the process at once, unless the program has set a handler of its own.
  void give_back() {
    if (!is_ours_ || !(getsignal(SIGINT) == default_int_handler)) return;
    is_ours_ = false;
    signal(SIGINT, default_action);
  }

  /// `give_back`, where nothing is to be lost.
  /// @throws KeyboardInterrupt  one has come that no safe point has seen
  void give_back_and_look() {
    if (!is_ours_) return;
    give_back();
    if (!is_ours_ && take_arrived(SIGINT)) throw KeyboardInterrupt();
  }

 private:
  bool is_ours_;
};

}  // namespace

namespace {

/// What a stream holds that does not go with C's stdio.
template <class Stream>
void flush(Stream& stream) {
  try {
    stream.flush();
  } catch (const std::ios_base::failure&) {
    // The process ends by Ctrl-C, whether that could be written or not.
  }
}

}  // namespace

int run_main(int argc, char** argv, int (*main)(int, char**)) {
  Sigint sigint;
  try {
    const StandardInput input;
    const int status = main(argc, argv);
    check_interrupts();
    sigint.give_back_and_look();
    return status;
  } catch (const SystemExit& ended) {
    if (!ended.message().empty()) std::fprintf(stderr, "%s\n", ended.message().c_str());
    return ended.code();
  } catch (const KeyboardInterrupt&) {
    // A second Ctrl-C ends the process at once if nobody takes what is written here.
    signal(SIGINT, default_action);
    std::fprintf(stderr, "KeyboardInterrupt\n");
  }
  flush(std::cout);
  flush(std::wcout);
  // Only stdout: to flush a file takes its lock, and a thread that is blocked reading one has that.
  std::fflush(stdout);
  os::die_of_signal(SIGINT);
}

}  // namespace underthread
