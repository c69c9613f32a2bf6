// How soon a sleeping thread goes on that is woken, or interrupted: wake [ROUNDS]. From the call to
// the first line that the thread runs; with the thread asleep before.
#include <underthread/interrupt.h>
#include <underthread/lock.h>
#include <underthread/thread.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <exception>

#include <boost/thread.hpp>
#include <sched.h>

#include "../locks/gates.h"
#include "../row.h"
#include "../sleeper.h"

namespace {

struct Stop {};

std::atomic<std::int64_t> back{0};
std::atomic<bool> over{false};

std::int64_t now() {
  return std::chrono::steady_clock::now().time_since_epoch().count();
}

/// Wakes the one that sleeps by `wake`; ns until it was back.
template <class Wake>
void measure(bench::Row& row, const bench::Sleeper& sleeper, Wake wake) {
  sleeper.await();
  back = 0;
  const std::int64_t begin = now();
  wake();
  while (back == 0) sched_yield();
  row.add("ns", static_cast<double>(back - begin));
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 500;
  using underthread::Thread;

  bench::FutexGate futex;
  Thread woken([&] {
    while (!over) {
      futex.wait();
      back = now();
    }
  });

  underthread::Lock held;
  held.acquire();
  Thread interrupted([&] {
    while (!over) {
      try {
        held.acquire();
      } catch (const Stop&) {
        back = now();
      }
    }
  });

  std::atomic<std::uint64_t> native_id{0};
  boost::thread theirs([&] {
    native_id = underthread::get_native_id();
    boost::mutex mutex;
    boost::condition_variable never;
    while (!over) {
      try {
        boost::unique_lock<boost::mutex> lock(mutex);
        never.wait(lock);
      } catch (const boost::thread_interrupted&) {
        back = now();
      }
    }
  });
  while (native_id == 0) sched_yield();

  const bench::Sleeper of_woken(woken.native_id()), of_interrupted(interrupted.native_id()),
      of_theirs(native_id);
  const std::string work = "from the call to the woken thread";
  bench::Row bare(work, "bare futex"), ours(work, "underthread::interrupt"),
      boosts(work, "boost::thread::interrupt");
  const std::exception_ptr stop = std::make_exception_ptr(Stop());
  for (int round = 0; round < rounds; ++round) {
    if (round == rounds - 1) over = true;
    measure(bare, of_woken, [&] { futex.open(); });
    measure(ours, of_interrupted, [&] { underthread::interrupt(interrupted.ident(), stop); });
    measure(boosts, of_theirs, [&] { theirs.interrupt(); });
  }
  woken.join();
  interrupted.join();
  theirs.join();
  for (const bench::Row* row : {&bare, &ours, &boosts}) row->print();
}
