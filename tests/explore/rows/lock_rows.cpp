#include <underthread/lock.h>

#include "rows/table.h"

namespace explore {
namespace {

using underthread::Lock;

// N threads, each takes the lock so often.
template <int times>
struct Acquire : Row {
  Lock lock;
  Inside inside;

  Acquire() { name(&lock, "lock"); }
  void thread(int) override {
    for (int i = 0; i < times; ++i) {
      lock.acquire();
      require(lock.is_mine(), "the holder is not the owner");
      inside.visit();
      lock.release();
    }
  }
  void at_end() override { require(!lock.locked(), "the lock was lost"); }
};

constexpr RowInfo rows[] = {
    {"lock-2", "two threads take the lock", 2, make<Acquire<1>>},
    {"lock-2x2", "two threads take the lock, twice", 2, make<Acquire<2>>},
    {"lock-3", "three threads take the lock", 3, make<Acquire<1>>},
};

}  // namespace

const std::span<const RowInfo> lock_rows = rows;

}  // namespace explore
