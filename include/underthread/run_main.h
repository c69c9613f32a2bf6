// A main that ends as Python's does.
#pragma once

namespace underthread {

/// Runs `main(argc, argv)` and returns its status. First sets `default_int_handler` for SIGINT,
/// unless SIGINT is ignored (as for a shell's background job) or already handled; as Python does.
/// What leaves `main`:
///   SystemExit         its code is returned, after its message, if any, went to stderr
///   KeyboardInterrupt  a line on stderr, then the process ends by SIGINT itself, so that a shell
///                      sees it (status 130 there)
///   anything else      is not touched: std::terminate, with the stack of the throw
int run_main(int argc, char** argv, int (*main)(int, char**));

}  // namespace underthread
