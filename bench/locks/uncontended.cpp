// What a lock costs that nobody else wants, in a process that has started a thread (glibc's own
// locks are cheaper before). Beside it the limits of the machine: "bare".
#include <underthread/ident.h>
#include <underthread/thread.h>

#include <atomic>

#include <benchmark/benchmark.h>
#include <pthread.h>

#include "peers.h"

namespace {

struct BareWord {
  static constexpr const char* name = "bare: compare-and-swap, exchange";
  void lock() {
    std::uint32_t expected = 0;
    word.compare_exchange_strong(expected, 1, std::memory_order_acquire);
  }
  void unlock() { word.exchange(0, std::memory_order_release); }
  std::atomic<std::uint32_t> word{0};
};

template <class L>
void pair(benchmark::State& state) {
  L lock;
  for (auto _ : state) {
    lock.lock();
    benchmark::ClobberMemory();
    lock.unlock();
  }
}

template <class L>
void reentry(benchmark::State& state) {
  L lock;
  lock.lock();
  for (auto _ : state) {
    lock.lock();
    benchmark::ClobberMemory();
    lock.unlock();
  }
  lock.unlock();
}

template <class L>
void failing_try(benchmark::State& state) {
  L lock;
  lock.lock();
  for (auto _ : state) benchmark::DoNotOptimize(lock.try_lock());
  lock.unlock();
}

void load(benchmark::State& state) {
  std::atomic<std::uint32_t> word{1};
  for (auto _ : state) benchmark::DoNotOptimize(word.load(std::memory_order_relaxed));
}

void locked(benchmark::State& state) {
  underthread::Lock lock;
  lock.acquire();
  for (auto _ : state) benchmark::DoNotOptimize(lock.locked());
  lock.release();
}

template <auto function>
void call(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(function());
}

// Its header promises that it always says the same, and it would be called once for the whole loop.
void call_pthread_self(benchmark::State& state) {
  auto* self = &pthread_self;
  benchmark::DoNotOptimize(self);
  for (auto _ : state) benchmark::DoNotOptimize(self());
}

template <class... L>
void add_pairs() {
  (benchmark::RegisterBenchmark((std::string("pair/") + L::name).c_str(), pair<L>), ...);
}

template <class... L>
void add_tries() {
  (benchmark::RegisterBenchmark((std::string("failing try/") + L::name).c_str(), failing_try<L>),
   ...);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace bench;
  underthread::Thread([] {}).join();
  add_pairs<BareWord, Acquire, Scoped, Recursive, StdMutex, StdTimedMutex, StdRecursiveMutex,
            StdSemaphore, Semaphore, Futex, AbslMutex, BoostMutex, Nsync, TbbMutex>();
  add_tries<Acquire, Scoped, StdMutex, Semaphore, Futex, AbslMutex, BoostMutex, Nsync, TbbMutex>();
#if UNDERTHREAD_BENCH_PARKING_LOT
  add_pairs<ParkingLot>();
  add_tries<ParkingLot>();
#endif
  benchmark::RegisterBenchmark("re-entry/underthread::RLock", reentry<Recursive>);
  benchmark::RegisterBenchmark("re-entry/std::recursive_mutex", reentry<StdRecursiveMutex>);
  benchmark::RegisterBenchmark("look/bare: load", load);
  benchmark::RegisterBenchmark("look/underthread::Lock, locked", locked);
  benchmark::RegisterBenchmark("ident/pthread_self", call_pthread_self);
  benchmark::RegisterBenchmark("ident/get_ident", call<underthread::get_ident>);
  benchmark::RegisterBenchmark("ident/get_native_id", call<underthread::get_native_id>);
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
