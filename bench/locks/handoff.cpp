// Two threads that hand each other the turn: each opens the gate that the other waits at:
// handoff [ROUNDS [TURNS]]. What one hand-off took, and how much of it the processors worked: the
// scheduler free to put the threads where it likes, one processor for each, one for both, and with
// as many busy threads as there are processors.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <sys/resource.h>

#include "../processors.h"
#include "../row.h"
#include "gates.h"

namespace {

struct Place {
  const char* name;
  bool apart, together, busy;
};

constexpr Place places[] = {
    {"cores free", false, false, false},
    {"a core each", true, false, false},
    {"one core", false, true, false},
    {"all cores busy", false, false, true},
};

double worked_ns() {
  rusage used = {};
  getrusage(RUSAGE_SELF, &used);
  return 1e9 * static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         1e3 * static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

template <class Gate>
void measure(bench::Row& row, const Place& place, int turns) {
  Gate there, back;
  std::atomic<bool> over{false};
  std::vector<std::thread> busy;
  if (place.busy) {
    // Each turn takes a slice of time.
    turns = std::max(turns / 20, 1);
    for (int i = 0; i < bench::processors(); ++i)
      busy.emplace_back([&] {
        while (!over.load(std::memory_order_relaxed)) {
        }
      });
  }
  const double worked = worked_ns();
  const auto begin = std::chrono::steady_clock::now();
  std::thread one([&] {
    if (place.apart || place.together) bench::run_on(0);
    for (int turn = 0; turn < turns; ++turn) {
      there.open();
      back.wait();
    }
  });
  std::thread other([&] {
    if (place.apart || place.together) bench::run_on(place.apart ? 1 : 0);
    for (int turn = 0; turn < turns; ++turn) {
      there.wait();
      back.open();
    }
  });
  one.join();
  other.join();
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  const double work = worked_ns() - worked;
  over = true;
  for (std::thread& thread : busy) thread.join();
  row.add("ns", took.count() / (2.0 * turns));
  // Where others are busy it says nothing of these two.
  if (!place.busy) row.add("worked", work / (2.0 * turns));
}

template <class... Gate>
void measure_all(int rounds, int turns) {
  for (const Place& place : places) {
    const std::string work = std::string("hand-off, ") + place.name;
    bench::Row rows[] = {bench::Row(work, Gate::name)...};
    for (int round = 0; round < rounds; ++round) {
      bench::Row* row = rows;
      (measure<Gate>(*row++, place, turns), ...);
    }
    for (const bench::Row& done : rows) done.print();
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 9;
  const int turns = argc > 2 ? std::atoi(argv[2]) : 10'000;
  using namespace bench;
  measure_all<FutexGate, LockGate, SemaphoreGate, StdSemaphoreGate>(rounds, turns);
}
