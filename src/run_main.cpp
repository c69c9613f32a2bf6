#include <underthread/errors.h>
#include <underthread/run_main.h>
#include <underthread/signals.h>

#include <csignal>
#include <cstdio>

#include "os/signal_action.h"

namespace underthread {

int run_main(int argc, char** argv, int (*main)(int, char**)) {
  if (getsignal(SIGINT) == default_action) signal(SIGINT, default_int_handler);
  try {
    return main(argc, argv);
  } catch (const SystemExit& ended) {
    if (!ended.message().empty()) std::fprintf(stderr, "%s\n", ended.message().c_str());
    return ended.code();
  } catch (const KeyboardInterrupt&) {
    // A second Ctrl-C ends the process at once if nobody takes what is written here.
    signal(SIGINT, default_action);
    std::fprintf(stderr, "KeyboardInterrupt\n");
  }
  // Only stdout: to flush a file takes its lock, and a thread that is blocked reading one has that.
  std::fflush(stdout);
  os::die_of_signal(SIGINT);
}

}  // namespace underthread
