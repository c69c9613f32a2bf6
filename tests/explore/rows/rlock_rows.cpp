#include <underthread/errors.h>
#include <underthread/rlock.h>

#include "rows/table.h"

namespace explore {
namespace {

using underthread::RLock;

struct OneRLock : Row {
  RLock lock;
  Inside inside;
  OneRLock() { name(&lock, "rlock"); }
  void visit() {
    require(lock.is_mine() && lock.locked(), "the holder is not the owner");
    inside.visit();
  }
  void at_end() override {
    require(!lock.locked() && lock.count() == 0, "the lock is left locked, or was lost");
  }
};

struct Reenter : OneRLock {
  void thread(int) override {
    lock.acquire();
    inside.enter();
    require(lock.acquire() && lock.count() == 2, "its holder could not take it again");
    lock.release();
    require(lock.is_mine() && lock.count() == 1, "one release ended two holds");
    inside.leave();
    lock.release();
  }
};

struct Once : OneRLock {
  void thread(int) override {
    lock.acquire();
    visit();
    lock.release();
  }
};

// As Condition.wait does it: lets go of all its holds, and takes them back.
struct SaveAndRestore : OneRLock {
  void thread(int number) override {
    lock.acquire();
    if (number == 0) {
      lock.acquire();
      const std::uint32_t count = lock.release_save();
      require(count == 2, "the count was lost");
      require(!lock.is_mine(), "still held");
      require(lock.count() <= 1, "nobody holds it so often");
      lock.acquire_restore(count);
      require(lock.count() == 2, "the count was not restored");
      visit();
      lock.release();
    }
    visit();
    lock.release();
  }
};

// Nobody but its holder may release it, however the attempt meets the hold.
struct OnlyItsHolder : OneRLock {
  void thread(int number) override {
    if (number == 0) {
      lock.acquire();
      visit();
      require(lock.count() == 1, "another thread changed the count");
      lock.release();
      return;
    }
    bool refused = false;
    try {
      lock.release();
    } catch (const underthread::error&) {
      refused = true;
    }
    require(refused, "released by a thread that does not hold it");
    if (lock.try_lock()) {
      visit();
      lock.release();
    }
  }
};

struct Timed : OneRLock {
  void thread(int number) override {
    if (number == 0) {
      lock.acquire();
      lock.acquire();
      visit();
      lock.release();
      lock.release();
    } else if (lock.acquire(true, 0.01)) {
      visit();
      lock.release();
    } else {
      require(!lock.is_mine(), "timed out with the lock");
    }
  }
};

constexpr RowInfo rows[] = {
    {.name = "rlock-2",
     .what = "two threads take the lock and take it again",
     .threads = 2,
     .make = make<Reenter>},
    {.name = "rlock-3",
     .what = "three threads take the lock",
     .threads = 3,
     .make = make<Once>,
     .may = {.jumps = 0}},
    {.name = "rlock-save-and-restore",
     .what = "one lets go of two holds and takes them back",
     .threads = 2,
     .make = make<SaveAndRestore>},
    {.name = "rlock-only-its-holder",
     .what = "a release by a thread that does not hold it",
     .threads = 2,
     .make = make<OnlyItsHolder>},
    {.name = "rlock-timed",
     .what = "one waits for 10 ms at most, another holds it twice",
     .threads = 2,
     .make = make<Timed>},
};

}  // namespace

const std::span<const RowInfo> rlock_rows = rows;

}  // namespace explore
