// Several threads that want one lock: contended [ROUNDS [MILLISECONDS]]
//
// Each thread takes the lock, counts, gives it back, and works a while outside. For each lock,
// number of threads and amount of work: how often the lock was taken in a second, how the least
// lucky thread did beside the luckiest, and how long a thread waited. All locks have their turn in
// each round, so what the machine does meanwhile comes to all. A line of JSON for each cell.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "peers.h"

namespace {

using Clock = std::chrono::steady_clock;

struct Cell {
  const char* lock;
  int threads;
  int work;
  std::vector<double> per_second, fairness, wait;  ///< one of each a round; wait: ns, 99.9 %
};

void work_outside(int loops) {
  for (int i = 0; i < loops; ++i) asm volatile("" ::: "memory");
}

/// Taken in all, and by each.
struct Counts {
  std::vector<std::uint64_t> of_each;
  std::vector<std::int64_t> waits;
};

template <class L, bool timed>
Counts run(int threads, int work, std::chrono::milliseconds length) {
  struct alignas(64) PerThread {
    std::uint64_t taken = 0;
    std::vector<std::int64_t> waits;
  };
  L lock;
  std::uint64_t guarded = 0;
  std::atomic<int> ready{0};
  std::atomic<bool> go{false}, over{false};
  std::vector<PerThread> each(static_cast<std::size_t>(threads));
  std::vector<std::thread> all;
  for (PerThread& mine : each)
    all.emplace_back([&] {
      if (timed) mine.waits.reserve(1 << 20);
      ++ready;
      while (!go) std::this_thread::yield();
      while (!over.load(std::memory_order_relaxed)) {
        const auto begin = timed ? Clock::now() : Clock::time_point();
        lock.lock();
        if (timed && mine.waits.size() < mine.waits.capacity())
          mine.waits.push_back((Clock::now() - begin).count());
        guarded = guarded + 1;
        lock.unlock();
        ++mine.taken;
        work_outside(work);
      }
    });
  while (ready < threads) std::this_thread::yield();
  go = true;
  std::this_thread::sleep_for(length);
  over = true;
  for (std::thread& thread : all) thread.join();
  Counts counts;
  for (PerThread& mine : each) {
    counts.of_each.push_back(mine.taken);
    counts.waits.insert(counts.waits.end(), mine.waits.begin(), mine.waits.end());
  }
  return counts;
}

template <class L>
void measure(Cell& cell, std::chrono::milliseconds length) {
  const Counts free = run<L, false>(cell.threads, cell.work, length);
  std::uint64_t sum = 0;
  for (const std::uint64_t taken : free.of_each) sum += taken;
  const auto [least, most] = std::minmax_element(free.of_each.begin(), free.of_each.end());
  cell.per_second.push_back(static_cast<double>(sum) * 1000 / static_cast<double>(length.count()));
  cell.fairness.push_back(static_cast<double>(*least) / static_cast<double>(std::max(*most, std::uint64_t{1})));
  Counts timed = run<L, true>(cell.threads, cell.work, length);
  const auto rank = static_cast<std::ptrdiff_t>(static_cast<double>(timed.waits.size()) * 0.999);
  std::nth_element(timed.waits.begin(), timed.waits.begin() + rank, timed.waits.end());
  cell.wait.push_back(static_cast<double>(timed.waits[static_cast<std::size_t>(rank)]));
}

void print(const Cell& cell) {
  const auto list = [](const char* name, const std::vector<double>& numbers) {
    std::printf(", \"%s\": [", name);
    for (std::size_t i = 0; i < numbers.size(); ++i)
      std::printf("%s%.6g", i > 0 ? ", " : "", numbers[i]);
    std::printf("]");
  };
  std::printf("{\"lock\": \"%s\", \"threads\": %d, \"work\": %d", cell.lock, cell.threads, cell.work);
  list("per_second", cell.per_second);
  list("fairness", cell.fairness);
  list("wait", cell.wait);
  std::printf("}\n");
  std::fflush(stdout);
}

template <class... L>
void measure_all(int rounds, std::chrono::milliseconds length) {
  for (const int threads : {2, 4, 8, 32})
    for (const int work : {0, 200, 2000}) {
      Cell cells[] = {Cell{L::name, threads, work, {}, {}, {}}...};
      for (int round = 0; round < rounds; ++round) {
        Cell* cell = cells;
        (measure<L>(*cell++, length), ...);
      }
      for (const Cell& cell : cells) print(cell);
    }
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 5;
  const std::chrono::milliseconds length(argc > 2 ? std::atoi(argv[2]) : 100);
  using namespace bench;
  measure_all<Acquire, StdMutex, StdSemaphore, Semaphore, Futex, AbslMutex, Nsync, TbbMutex
#if UNDERTHREAD_BENCH_PARKING_LOT
              ,
              ParkingLot
#endif
              >(rounds, length);
}
