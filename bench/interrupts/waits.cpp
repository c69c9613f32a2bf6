// From `interrupt_main` to its handler, in each kind of wait of the main thread; and from
// `interrupt` to the catch in another thread: waits [TRIALS]. A line of JSON for each.
#include <underthread/underthread.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <vector>

#include <sys/epoll.h>

#include "floor.h"

namespace {

using namespace underthread;
using namespace std::chrono_literals;
using bench::now;

struct Stop {};

std::atomic<std::int64_t> sent{0};
std::atomic<std::int64_t> entered{0};
int handled = 0;

void print(const char* wait, const char* kind, const std::vector<std::int64_t>& trials,
           const std::vector<std::int64_t>& floor, int lost, int twice) {
  const auto list = [](const char* name, const std::vector<std::int64_t>& numbers) {
    std::printf(", \"%s\": [", name);
    for (std::size_t i = 0; i < numbers.size(); ++i)
      std::printf("%s%lld", i > 0 ? ", " : "", static_cast<long long>(numbers[i]));
    std::printf("]");
  };
  std::printf("{\"wait\": \"%s\", \"kind\": \"%s\", \"lost\": %d, \"twice\": %d", wait, kind, lost,
              twice);
  list("ns", trials);
  list("floor", floor);
  std::printf("}\n");
  std::fflush(stdout);
}

/// The main thread waits, and another interrupts it.
void measure(const char* name, const char* kind, int trials, bench::Floor& floor,
             const std::function<void()>& wait) {
  std::vector<std::int64_t> took, floors;
  int lost = 0, twice = 0;
  for (int trial = 0; trial < trials; ++trial) {
    handled = 0;
    Thread other([] {
      bench::let_it_wait();
      sent = now();
      interrupt_main();
    });
    try {
      wait();
      ++lost;
    } catch (const Stop&) {
      took.push_back(entered - sent);
    }
    other.join();
    check_interrupts();
    if (handled > 1) ++twice;
    floors.push_back(floor.measure());
  }
  print(name, kind, took, floors, lost, twice);
}

/// Another thread waits, and this one interrupts it.
void measure_thread(const char* name, const char* kind, int trials, bench::Floor& floor,
                    const std::function<void()>& wait) {
  std::vector<std::int64_t> took, floors;
  int lost = 0, twice = 0;
  for (int trial = 0; trial < trials; ++trial) {
    Thread other([&] {
      try {
        wait();
        ++lost;
      } catch (const Stop&) {
        entered = now();
      }
      try {
        check_interrupts();
      } catch (const Stop&) {
        ++twice;
      }
    });
    bench::let_it_wait();
    sent = now();
    interrupt(other.ident(), std::make_exception_ptr(Stop()));
    other.join();
    took.push_back(entered - sent);
    floors.push_back(floor.measure());
  }
  print(name, kind, took, floors, lost, twice);
}

int run(int argc, char** argv) {
  const int trials = argc > 1 ? std::atoi(argv[1]) : 200;
  signal(SIGINT, [](int) {
    entered = now();
    ++handled;
    throw Stop();
  });
  bench::Floor floor;
  Lock lock;
  lock.acquire();
  Lock gate;
  gate.acquire();
  Thread sleeper([&] { gate.lock(); });
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return 1;
  const int epoll = epoll_create1(0);
  epoll_event event = {};
  event.events = EPOLLIN;
  epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event);
  char byte = 0;

  const std::function<void()> acquire = [&] { lock.acquire(); };
  const std::function<void()> read_byte = [&] {
    interruptible_syscall([&] { return read(ends[0], &byte, 1); });
  };
  measure("Lock::acquire", "ours", trials, floor, acquire);
  measure("Thread::join", "ours", trials, floor, [&] { sleeper.join(); });
  measure("sleep_for", "ours", trials, floor, [] { sleep_for(1h); });
  measure("read", "system", trials, floor, read_byte);
  measure("epoll_wait", "system", trials, floor,
          [&] { interruptible_syscall([&] { return epoll_wait(epoll, &event, 1, -1); }); });
  measure_thread("Lock::acquire, another thread", "ours", trials, floor, acquire);
  measure_thread("read, another thread", "system", trials, floor, read_byte);
  gate.release();
  sleeper.join();
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return run_main(argc, argv, run);
}
