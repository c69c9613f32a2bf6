// How long a thread looks at what it waits for before it sleeps. A sleep and the wake-up that ends
// it cost tens of microseconds where a processor has to be woken, and two where another thread has
// this one's: so a thread goes by what its last waits of the same kind have taught it.
//
// Two threads that take turns, each on its own processor, can go on without sleeping; but if both
// sleep each time, neither looks for long enough to find that out. So now and then a thread looks
// as long as it may, ever more rarely while that is in vain. A hand-off between two threads, a
// processor each, so takes 0.3 us, and 20 to 50 where each sleeps (`script/bench locks`).
#pragma once

#include <algorithm>
#include <cstdint>

#include "os/futex.h"

namespace underthread::lot {

/// What a thread has learnt of one kind of wait. The thread's own. Zeroed: nothing yet.
struct SpinMemory {
  std::uint32_t turns = 0;   ///< of `os::relax`, before it sleeps
  std::uint32_t failed = 0;  ///< in vain, since it last looked as long as it may
  std::uint32_t pause = 0;   ///< so often in vain, and it does again
};

class Spin {
 public:
  /// @param may  false: it does not spin at all, and learns nothing
  Spin(SpinMemory& memory, bool may) noexcept : memory_(memory) {
    if (!may) return;
    if (memory.turns == 0) memory = {.turns = os::spin_limit, .failed = 0, .pause = shortest_pause};
    all_ = left_ = memory.failed >= memory.pause ? os::spin_most : memory.turns;
  }

  /// Waits a moment, then a longer one; false: enough, sleep.
  bool once() noexcept {
    if (left_ == 0) return false;
    const std::uint32_t moment = std::min(next_, left_);
    next_ = std::min(2 * next_, longest_moment);
    left_ -= moment;
    for (std::uint32_t turn = 0; turn < moment; ++turn) os::relax();
    return true;
  }

  /// It has what it waited for. If it has spun and not slept for it, that took `all_ - left_`
  /// turns, and may take twice that next time.
  void succeeded() noexcept {
    if (left_ == all_ || has_slept_) return;
    memory_.turns = std::max(memory_.turns, std::min(2 * (all_ - left_), os::spin_most));
    memory_.failed = 0;
    memory_.pause = shortest_pause;
  }

  /// It is about to sleep: less next time.
  void failed() noexcept {
    if (all_ == 0 || has_slept_) return;
    has_slept_ = true;
    memory_.turns = std::max(memory_.turns / 2, 1U);
    if (++memory_.failed <= memory_.pause) return;
    memory_.failed = 0;
    memory_.pause = std::min(2 * memory_.pause, longest_pause);
  }

 private:
  // Each look takes the lock's cache line from who works with it. 8 to 32 turns between them, and
  // not one: twice as many acquisitions by two and by eight threads that do nothing else.
  static constexpr std::uint32_t first_moment = 8;
  static constexpr std::uint32_t longest_moment = 32;

  static constexpr std::uint32_t shortest_pause = 32;
  static constexpr std::uint32_t longest_pause = 1024;

  SpinMemory& memory_;
  std::uint32_t all_ = 0;
  std::uint32_t left_ = 0;
  std::uint32_t next_ = first_moment;
  bool has_slept_ = false;
};

}  // namespace underthread::lot
