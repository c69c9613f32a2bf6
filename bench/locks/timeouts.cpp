// A wait that is over after a millisecond: timeouts [ROUNDS]. How much later than that the thread
// goes on, for each lock and for a sleep.
#include <underthread/lock.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <mutex>
#include <thread>

#include <semaphore.h>

#include "../row.h"

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr auto limit = 1ms;

template <class Wait>
void measure(bench::Row& row, Wait wait) {
  const auto begin = Clock::now();
  wait();
  const std::chrono::duration<double, std::nano> over = Clock::now() - begin - limit;
  row.add("ns", over.count());
}

timespec in(std::chrono::nanoseconds duration, clockid_t clock) {
  timespec now = {};
  clock_gettime(clock, &now);
  const std::chrono::nanoseconds then = std::chrono::nanoseconds(now.tv_nsec) + duration;
  return {now.tv_sec + then / 1s, (then % 1s).count()};
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 500;
  underthread::Lock lock;
  lock.acquire();
  std::timed_mutex mutex;
  sem_t semaphore;
  sem_init(&semaphore, 0, 0);
  std::thread holder([&] { mutex.lock(); });
  holder.join();

  const std::string work = "a wait that is over after 1 ms";
  bench::Row nap(work, "clock_nanosleep"), ours(work, "underthread::Lock, acquire(timeout)"),
      standard(work, "std::timed_mutex, try_lock_for"), posix(work, "sem_timedwait");
  for (int round = 0; round < rounds; ++round) {
    measure(nap, [] {
      const timespec duration = {0, std::chrono::nanoseconds(limit).count()};
      clock_nanosleep(CLOCK_MONOTONIC, 0, &duration, nullptr);
    });
    measure(ours, [&] { lock.acquire(true, limit); });
    measure(standard, [&] { static_cast<void>(mutex.try_lock_for(limit)); });
    measure(posix, [&] {
      const timespec until = in(limit, CLOCK_REALTIME);
      sem_timedwait(&semaphore, &until);
    });
  }
  for (const bench::Row* row : {&nap, &ours, &standard, &posix}) row->print();
}
