// dump: what all threads wait for and who holds it, written at once, from anywhere.
//
// It allocates nothing and waits for no lock, so that it can be called where a program hangs, in a
// signal handler too:
//
//     std::signal(SIGQUIT, [](int) { underthread::dump(); });
//
// What cannot be looked at, since somebody changes it at that moment or never goes on, it says.
#pragma once

namespace underthread {

/// Writes the same table as `snapshot().text()`, but for locks that nobody waits for: first how
/// many threads there are, the lock that is most waited for, and deadlocks; then each thread, those
/// that wait first. Async-signal-safe; errno is kept.
/// @param descriptor  where to: stderr, if none is given. What cannot be written is lost.
void dump(int descriptor = 2) noexcept;

}  // namespace underthread
