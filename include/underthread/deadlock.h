// Deadlocks: told by the thread that is about to close one.
//
// Before a thread sleeps it follows who holds what it waits for, what that thread waits for, and so
// on. Where this comes back to the thread itself, or ends at a thread that is no more, the handler
// is called, in that thread, once for each deadlock. By default it is reported on stderr, and the
// wait goes on. A lock that nobody else wants costs nothing for it.
//
//     underthread: deadlock: 2 threads wait for each other
//       one (ident 139…, native id 4711) has waited 6.6 us for lock 'accounts', held by two
//       two (ident 139…, native id 4712) has waited 1.2 s for lock 'orders', held by one
#pragma once

#include <underthread/errors.h>
#include <underthread/snapshot.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace underthread {

struct Deadlock {
  enum class Kind : std::uint8_t {
    certain,   ///< every thread of it waits for ever for what only the next can give it
    possible,  ///< one waits for a lock that was taken by `acquire()`: any thread may release that
    timed,     ///< one has a timeout or a TimeLimit, and will wait no longer than that
  };

  Kind kind = Kind::certain;
  /// Who waits for whom: the first is the calling thread, each waits for the next, and the last for
  /// the first; or, where `is_orphaned`, for a thread that has ended or did not survive a fork.
  std::vector<ThreadSeen> threads;
  bool is_orphaned = false;

  /// Some lines, each with a newline.
  std::string text() const;
};

/// Called without any mutex of the library held; may use all of it. What it throws leaves from the
/// wait.
using DeadlockHandler = std::function<void(const Deadlock&)>;

/// Sets what is called for every deadlock that is found from now on. `nullptr`: none is looked for.
/// @return the one before; empty: none was looked for
DeadlockHandler set_deadlock_handler(DeadlockHandler handler);

/// Thrown by raise_deadlock: Python's RuntimeError.
class DeadlockError : public error {
 public:
  using error::error;
};

/// The handler that is there at first: writes the text to stderr.
void report_deadlock(const Deadlock& deadlock);
/// A handler for tests: throws DeadlockError for one that is certain, and reports others. The
/// thread keeps what it holds.
void raise_deadlock(const Deadlock& deadlock);

}  // namespace underthread
