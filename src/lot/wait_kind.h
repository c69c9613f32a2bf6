// WaitKind: what sort of thing a thread waits for, to whoever looks at it from outside. One
// constant for each sort, beside the code that waits for it.
#pragma once

#include <cstdint>

namespace underthread::lot {

struct Waiter;

struct WaitKind {
  /// As in a dump: "lock", "join".
  const char* name;
  /// What is waited for is a Lock or an RLock, at the key.
  bool is_lock;
  /// Who must act before the wait can end, as a lock word names a thread, with `only_it` if nobody
  /// else can. 0: nobody in particular. Null: it is never known. Called under the bucket of what is
  /// waited for, while the waiter stands in its queue, so that is not gone.
  std::uint32_t (*blocker)(const Waiter& waiter) noexcept;
};

/// The bit of a blocker that says that no other thread can end the wait: a lock word's `scoped`.
inline constexpr std::uint32_t only_it = 2;

/// What a wait is that says nothing of itself.
inline constexpr WaitKind some_wait{"wait", false, nullptr};
inline constexpr WaitKind sleep_wait{"sleep", false, nullptr};

}  // namespace underthread::lot
