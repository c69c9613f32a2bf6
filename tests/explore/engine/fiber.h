// Fibers: threads of the explored program, one of which runs at a time, on the process's only
// thread.
#pragma once

#include <cstddef>

namespace explore {

/// A stack that waits to go on. Made anew for each run; what ran on it before is forgotten, not
/// unwound.
class Fiber {
 public:
  /// `enter` must not return.
  void prepare(void* stack, std::size_t size, void (*enter)()) noexcept;

  /// Leaves the running fiber, `from`, and goes on in `to`.
  static void change(Fiber& from, Fiber& to) noexcept;

 private:
#if defined(__x86_64__)
  void* stack_pointer_ = nullptr;
#else
  struct Context;
  Context* context_ = nullptr;
#endif
};

}  // namespace explore
