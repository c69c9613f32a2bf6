// A release that wakes a thread, while 10 to 10,000 threads wait, on other locks or on this one:
// waiters [ROUNDS [TURNS]]. How long the call took, each time with the one that it wakes asleep
// before. All on one processor, where the one that wakes up does not run at once: to wake a thread
// on another takes 1 us or 7, as that one is asleep itself or not.
#include <underthread/errors.h>
#include <underthread/thread.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sched.h>

#include "../processors.h"
#include "../row.h"
#include "../sleeper.h"
#include "gates.h"

namespace {

using underthread::Thread;

constexpr std::size_t small_stack = 64 << 10;

/// Threads that wait at gates, each at the one that it is given, again and again.
template <class Gate>
class Waiting {
 public:
  ~Waiting() {
    for (auto& one : all_) one->over = true;
    // One at a time, each once the one before it has passed: a lock that nobody holds cannot be
    // released.
    for (std::size_t i = 0; i < all_.size(); ++i) {
      const int before = passed_;
      all_[i]->gate.open();
      while (passed_ == before) sched_yield();
    }
  }

  /// @throws underthread::error: the system has no thread left
  void add(Gate& gate) {
    auto one = std::make_unique<One>(gate);
    one->thread = Thread({.stack_size = small_stack}, [this, one = one.get()] {
      const sched_param no_priority = {};
      sched_setscheduler(0, SCHED_BATCH, &no_priority);
      do {
        one->gate.wait();
        last_ = one;
        ++passed_;
      } while (!one->over);
    });
    one->sleeper.emplace(one->thread.native_id());
    one->sleeper->await();
    all_.push_back(std::move(one));
  }

  /// Opens the gate for one of those who wait there, all asleep. ns that it took; returns when that
  /// one has passed, and sleeps again.
  double open(Gate& gate) {
    const int before = passed_;
    const auto begin = std::chrono::steady_clock::now();
    gate.open();
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
    while (passed_ == before) sched_yield();
    last_.load()->sleeper->await();
    return took.count();
  }

 private:
  struct One {
    explicit One(Gate& at) : gate(at) {}
    Gate& gate;
    std::atomic<bool> over{false};
    std::optional<bench::Sleeper> sleeper;
    Thread thread;
  };

  std::vector<std::unique_ptr<One>> all_;
  std::atomic<One*> last_{nullptr};
  std::atomic<int> passed_{0};
};

template <class Gate>
void measure_others(bench::Row& row, int waiters, int turns) {
  std::vector<Gate> others(static_cast<std::size_t>(waiters));
  Gate mine;
  Waiting<Gate> asleep;
  for (Gate& other : others) asleep.add(other);
  Waiting<Gate> target;
  target.add(mine);
  for (int turn = 0; turn < turns; ++turn) row.add("ns", target.open(mine));
}

template <class Gate>
void measure_same(bench::Row& row, int waiters, int turns) {
  Gate mine;
  Waiting<Gate> target;
  for (int i = 0; i < waiters; ++i) target.add(mine);
  for (int turn = 0; turn < turns; ++turn) row.add("ns", target.open(mine));
}

template <class... Gate>
void measure_all(int rounds, int turns) {
  for (const int waiters : {10, 100, 1000, 10'000}) {
    const std::string number = std::to_string(waiters);
    bench::Row others[] = {bench::Row(number + " wait on other locks", Gate::name)...};
    bench::Row same[] = {bench::Row(number + " wait on it", Gate::name)...};
    for (int round = 0; round < rounds; ++round) {
      bench::Row* row = others;
      (measure_others<Gate>(*row++, waiters, turns), ...);
      row = same;
      (measure_same<Gate>(*row++, waiters, turns), ...);
    }
    for (const bench::Row& done : others) done.print();
    for (const bench::Row& done : same) done.print();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 3;
  const int turns = argc > 2 ? std::atoi(argv[2]) : 300;
  using namespace bench;
  try {
    run_on(0);
    measure_all<FutexGate, LockGate, SemaphoreGate>(rounds, turns);
  } catch (const underthread::error& none_left) {
    std::fprintf(stderr, "more threads cannot wait here: %s\n", none_left.what());
  }
}
