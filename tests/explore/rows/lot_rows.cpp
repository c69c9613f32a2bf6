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
    lot::unpark_one(this, [this](const lot::Queue&) {
      open = 1;
      return lot::Choice::wake;
    });
  }
};

/// Keys that share a bucket. Several such sets: which of them is above which in the bucket's tree
/// is a matter of their hashes.
template <int keys, int sets = 6>
struct OneBucket : Row {
  Gate gates[4096];
  Gate* chosen[sets][keys] = {};
  int set = 0;  // which set this run is about
  OneBucket() {
    int filled[1024] = {};
    Gate* found[1024][keys];
    int complete = 0;
    for (Gate& gate : gates) {
      const std::size_t bucket = lot::bucket_number(&gate) % 1024;
      if (filled[bucket] == keys || complete == sets) continue;
      found[bucket][filled[bucket]++] = &gate;
      if (filled[bucket] < keys) continue;
      for (int i = 0; i < keys; ++i) chosen[complete][i] = found[bucket][i];
      ++complete;
    }
    require(complete == sets, "no keys of so many share a bucket");
    set = any_of(sets);
    for (Gate* gate : chosen[set]) name(gate, "gate");
  }
  void wait(int gate, int number) {
    const lot::ParkEnd end = chosen[set][gate]->wait(number);
    require(end == lot::ParkEnd::unparked || end == lot::ParkEnd::refused, "woken for another key");
  }
  void let_in(int gate) { chosen[set][gate]->let_in(); }
};

// Two keys, a waiter each, and one who wakes the first, then the second.
struct TwoKeys : OneBucket<2> {
  void thread(int number) override {
    if (number < 2) return wait(number, number);
    let_in(0);
    let_in(1);
  }
};

// The same, with two waiters of one key.
struct TwoKeysAll : OneBucket<2, 1> {
  int crowded = any_of(2);  // either may be above the other in the tree
  void thread(int number) override {
    if (number < 3) return wait(number < 2 ? crowded : 1 - crowded, number);
    let_in(crowded);
    lot::unpark_all(chosen[set][crowded]);
    let_in(1 - crowded);
  }
};

// Three keys, a waiter each, woken in any order.
struct ThreeKeys : OneBucket<3> {
  void thread(int number) override {
    if (number < 3) return wait(number, number);
    const int first = any_of(3);
    let_in(first);
    let_in((first + 1) % 3);
    let_in((first + 2) % 3);
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
    lot::unpark_one(&gate, [&](const lot::Queue& queue) {
      gate.open = 1;
      first = queue.first != nullptr;
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
    {.name = "lot-three-keys",
     .what = "three keys in one bucket, a waiter each",
     .threads = 4,
     .make = make<ThreeKeys>,
     .may = {.time_outs = 0, .jumps = 0},
     .bound = 1},
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
