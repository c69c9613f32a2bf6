// Several threads that want one lock: contended [ROUNDS [MILLISECONDS]]
//
// Each thread takes the lock, counts, gives it back, and works a while outside. For each lock,
// number of threads and amount of work: how often the lock was taken in a second, how the least
// lucky thread did beside the luckiest, and how long a thread waited. All locks have their turn in
// each round, so what the machine does meanwhile comes to all.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "../row.h"
#include "peers.h"

namespace {

using Clock = std::chrono::steady_clock;

void work_outside(int loops) {
  for (int i = 0; i < loops; ++i) asm volatile("" ::: "memory");
}

/// How many waits were how long, within a sixteenth: sixteen classes for each power of two of ns.
class Waits {
 public:
  void add(std::int64_t ns) { ++counts_[class_of(static_cast<std::uint64_t>(ns))]; }

  void add(const Waits& others) {
    for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += others.counts_[i];
  }

  /// The least that so large a share of the waits does not exceed, ns.
  double quantile(double share) const {
    double all = 0;
    for (const std::uint64_t count : counts_) all += static_cast<double>(count);
    double below = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      below += static_cast<double>(counts_[i]);
      if (below >= share * all) return upper_end(i);
    }
    return 0;
  }

 private:
  static constexpr std::size_t bits = 4;

  static std::size_t class_of(std::uint64_t ns) {
    const std::size_t shift = std::bit_width(ns >> bits >> 1);
    return (shift << bits) + (ns >> shift);
  }
  static double upper_end(std::size_t number) {
    const std::size_t shift = number < (2U << bits) ? 0 : (number >> bits) - 1;
    return static_cast<double>(number - (shift << bits) + 1) *
           static_cast<double>(std::uint64_t{1} << shift);
  }

  std::array<std::uint64_t, std::size_t{64} << bits> counts_{};
};

template <class L>
void measure(bench::Row& row, int threads, int work, std::chrono::milliseconds length) {
  /// One of so many waits is timed: to look at the clock takes longer than a free lock.
  constexpr std::uint64_t timed = 16;
  struct alignas(64) PerThread {
    std::uint64_t taken = 0;
    Waits waits;
  };
  L lock;
  std::uint64_t guarded = 0;
  std::atomic<int> ready{0};
  std::atomic<bool> go{false}, over{false};
  std::vector<PerThread> each(static_cast<std::size_t>(threads));
  std::vector<std::thread> all;
  for (PerThread& mine : each)
    all.emplace_back([&] {
      ++ready;
      while (!go) std::this_thread::yield();
      while (!over.load(std::memory_order_relaxed)) {
        if (mine.taken % timed == 0) {
          const auto begin = Clock::now();
          lock.lock();
          const auto end = Clock::now();
          guarded = guarded + 1;
          lock.unlock();
          mine.waits.add((end - begin).count());
        } else {
          lock.lock();
          guarded = guarded + 1;
          lock.unlock();
        }
        ++mine.taken;
        work_outside(work);
      }
    });
  while (ready < threads) std::this_thread::yield();
  go = true;
  std::this_thread::sleep_for(length);
  over = true;
  for (std::thread& thread : all) thread.join();

  std::uint64_t sum = 0, least = each[0].taken, most = 0;
  Waits waits;
  for (const PerThread& mine : each) {
    sum += mine.taken;
    least = std::min(least, mine.taken);
    most = std::max(most, mine.taken);
    waits.add(mine.waits);
  }
  if (sum != guarded) std::abort();
  row.add("per_second", static_cast<double>(sum) * 1000 / static_cast<double>(length.count()));
  row.add("fairness", static_cast<double>(least) / static_cast<double>(most));
  row.add("wait", waits.quantile(0.999));
}

template <class... L>
void measure_all(int rounds, std::chrono::milliseconds length) {
  for (const int threads : {2, 4, 8, 32})
    for (const int work : {0, 200, 2000}) {
      const std::string title =
          std::to_string(threads) + " threads, " + std::to_string(work) + " loops";
      bench::Row rows[] = {bench::Row(title, L::name)...};
      for (int round = 0; round < rounds; ++round) {
        bench::Row* row = rows;
        // A thread has its turn after all that share its processor: many need longer to be compared.
        (measure<L>(*row++, threads, work, threads > 8 ? 4 * length : length), ...);
      }
      for (const bench::Row& row : rows) row.print();
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
