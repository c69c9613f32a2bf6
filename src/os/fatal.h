// The end of the process when a promise inside it is broken.
#pragma once

namespace underthread::os {

/// Writes one line to stderr, "underthread: <what>: <the system's reason>", and aborts. For broken
/// invariants and for errors that the system must not give; never for what a caller can cause.
/// @param error  an errno value, or 0 for none
[[noreturn]] void fatal(const char* what, int error = 0) noexcept;

}  // namespace underthread::os
