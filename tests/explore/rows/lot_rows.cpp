#include "lot/parking_lot.h"

#include "rows/in_place.h"
#include "rows/table.h"

namespace explore {
namespace {

namespace lot = underthread::lot;

// A word that threads wait on until it is 1.
struct Gate {
  int open = 0;  // guarded by the bucket of its own address
  lot::ParkEnd wait(int number) {
    lot::Wait wait;
    return lot::park(
        record_of_thread(number), this, [this] { return open == 0; }, wait);
  }
  void let_in() {
    lot::unpark_one(this, [this](const lot::Waiter*, bool) {
      open = 1;
      return lot::Choice::wake;
    });
  }
};

// Two keys of one bucket, a waiter each, and one who wakes the first, then the second.
struct TwoKeys : Row {
  Gate gates[4097];
  Gate* first = nullptr;
  Gate* second = nullptr;
  TwoKeys() {
    Gate* by_bucket[4096] = {};
    for (Gate& gate : gates) {
      Gate*& other = by_bucket[lot::bucket_number(&gate) % 4096];
      if (other) {
        first = other;
        second = &gate;
        break;
      }
      other = &gate;
    }
    require(first, "no two of so many keys share a bucket");
    name(first, "first gate");
    name(second, "second gate");
  }
  void thread(int number) override {
    if (number == 2) {
      first->let_in();
      second->let_in();
      return;
    }
    const lot::ParkEnd end = (number == 0 ? first : second)->wait(number);
    require(end == lot::ParkEnd::unparked || end == lot::ParkEnd::refused, "woken for another key");
  }
};

// The same, and both waiters of one key are woken by one call, the other key's by another.
struct TwoKeysAll : TwoKeys {
  int woken = 0;
  void thread(int number) override {
    if (number < 3) {
      const lot::ParkEnd end = (number < 2 ? first : second)->wait(number);
      require(end == lot::ParkEnd::unparked || end == lot::ParkEnd::refused,
              "woken for another key");
      return;
    }
    first->let_in();
    lot::unpark_all(first);
    second->let_in();
  }
};

// All who wait are woken by one call, each once.
template <int waiters>
struct UnparkAll : Row {
  Gate gate;
  int woken[waiters + 1] = {};
  UnparkAll() { name(&gate, "gate"); }
  void thread(int number) override {
    if (number < waiters) {
      woken[number] = gate.wait(number) == lot::ParkEnd::unparked;
      return;
    }
    std::size_t first = 0;
    lot::unpark_one(&gate, [&](const lot::Waiter* waiter, bool) {
      gate.open = 1;
      first = waiter != nullptr;
      return lot::Choice::wake;
    });
    woken[waiters] = -static_cast<int>(first + lot::unpark_all(&gate));
  }
  void at_end() override {
    int sum = 0;
    for (const int one : woken) sum += one;
    require(sum == 0, "not as many woke as were woken");
  }
};

constexpr RowInfo rows[] = {
    {.name = "lot-two-keys",
     .what = "two keys in one bucket, a waiter each",
     .threads = 3,
     .make = make<TwoKeys>,
     .may = {.jumps = 0}},
    {.name = "lot-two-keys-all",
     .what = "two keys in one bucket, three waiters",
     .threads = 4,
     .make = make<TwoKeysAll>,
     .may = {.jumps = 0},
     .bound = 2},
    {.name = "lot-unpark-all-2",
     .what = "two waiters are unparked at once",
     .threads = 3,
     .make = make<UnparkAll<2>>,
     .may = {.jumps = 0}},
    {.name = "lot-unpark-all-10",
     .what = "ten waiters are unparked at once",
     .threads = 11,
     .make = make<UnparkAll<10>>,
     .may = {.time_outs = 0, .jumps = 0},
     .bound = 1,
     .in_turn = true},
};

}  // namespace

const std::span<const RowInfo> lot_rows = rows;

}  // namespace explore
