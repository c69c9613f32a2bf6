// A main that ends as Python's does.
#pragma once

namespace underthread {

/// Runs `main(argc, argv)` and returns its status. First sets `default_int_handler` for SIGINT,
/// unless SIGINT is ignored (as for a shell's background job) or already handled; as Python does.
/// Gives it back at the end, and looks once more whether it has come.
///
/// Meanwhile a wait of `std::cin` for input is a safe point. What a handler throws there cannot
/// leave from it: the stream says that the input has ended, and the next safe point throws it. So a
/// line that has come in part is given in part, and the rest after `std::cin.clear()`. Not where
/// the program has called `sync_with_stdio(false)`, and not `std::wcin`: they wait as ever.
///
/// What leaves `main`:
///   SystemExit         its code is returned, after its message, if any, went to stderr
///   KeyboardInterrupt  a line on stderr, then the process ends by SIGINT itself, so that a shell
///                      sees it (status 130 there)
///   anything else      is not touched: std::terminate, with the stack of the throw
int run_main(int argc, char** argv, int (*main)(int, char**));

}  // namespace underthread
