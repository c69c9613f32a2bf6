// How long a thread looks at a lock before it sleeps. A sleep and the wake-up that ends it cost
// tens of microseconds where a processor has to be woken, and two where another thread has this
// one's: so a thread goes by what its last waits have taught it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "lot/thread_record.h"
#include "os/futex.h"

namespace underthread {

class Spin {
 public:
  /// @param may  false: it does not spin at all, and learns nothing
  Spin(lot::ThreadRecord& thread, bool may) noexcept
      : me_(thread), all_(may ? budget(thread) : 0), left_(all_) {}

  /// Waits a moment; false: enough, sleep.
  bool once() noexcept {
    if (left_ == 0) return false;
    --left_;
    os::relax();
    return true;
  }

  /// It has what it waited for. If it has not slept for it, it spins longer next time.
  void succeeded() noexcept {
    if (left_ < all_ && !has_slept_) me_.spins = std::min(2 * all_, os::spin_limit);
  }

  /// It is about to sleep: shorter next time; now and then all of it, since times change.
  void failed() noexcept {
    if (all_ == 0 || has_slept_) return;
    has_slept_ = true;
    me_.spins = ++me_.spins_failed % try_again == 0 ? os::spin_limit : std::max(all_ / 2, 1u);
  }

 private:
  static constexpr std::uint32_t try_again = 32;

  static std::uint32_t budget(const lot::ThreadRecord& thread) noexcept {
    return thread.spins == 0 ? os::spin_limit : thread.spins;
  }

  lot::ThreadRecord& me_;
  std::uint32_t all_;
  std::uint32_t left_;
  bool has_slept_ = false;
};

}  // namespace underthread
