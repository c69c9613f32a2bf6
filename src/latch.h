// Latch: something that happens once, and that any number of threads may wait for. A thread's end
// is one. Four bytes; private, since Thread is what users join.
#pragma once

#include <underthread/lot/wait.h>

#include <atomic>
#include <cstdint>

#include "lot/thread_record.h"

namespace underthread {

class Latch {
 public:
  constexpr Latch() noexcept = default;
  Latch(const Latch&) = delete;
  Latch& operator=(const Latch&) = delete;

  /// acquire: what was done before `set` is seen.
  bool is_set() const noexcept;

  /// Wakes all who wait. Once.
  void set() noexcept;

  /// Waits as `wait` says.
  /// @param by  the thread that will set it, to whoever looks on, as a lock word names it; 0: any
  lot::WaitEnd wait(lot::ThreadRecord& me, lot::Wait& wait, std::uint32_t by = 0) noexcept;

 private:
  //   unset    not yet, nobody waits
  //   awaited  not yet, and somebody may wait in the lot
  //   set      it has happened; for ever
  static constexpr std::uint32_t unset = 0;
  static constexpr std::uint32_t awaited = 1;
  static constexpr std::uint32_t set_word = 2;

  std::atomic<std::uint32_t> word_{unset};
};

}  // namespace underthread
