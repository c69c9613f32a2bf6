// Two threads that hand each other the turn: each releases the lock that the other waits for.
// handoff [ROUNDS [TURNS]]. A line of JSON for each: what one hand-off took, and how much of it the
// processors worked; with idle processors, and with a busy thread for each.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <semaphore>
#include <thread>
#include <vector>

#include <linux/futex.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <underthread/lock.h>
#include <unistd.h>

namespace {

/// A gate: closed until somebody opens it for one who waits.
struct Ours {
  static constexpr const char* name = "underthread::Lock";
  Ours() { lock.acquire(); }
  void wait() { lock.acquire(); }
  void open() { lock.release(); }
  underthread::Lock lock;
};

struct Semaphore {
  static constexpr const char* name = "sem_t";
  Semaphore() { sem_init(&semaphore, 0, 0); }
  void wait() {
    while (sem_wait(&semaphore) != 0) {
    }
  }
  void open() { sem_post(&semaphore); }
  sem_t semaphore;
};

struct StdSemaphore {
  static constexpr const char* name = "std::binary_semaphore";
  void wait() { semaphore.acquire(); }
  void open() { semaphore.release(); }
  std::binary_semaphore semaphore{0};
};

/// Nothing but the two system calls.
struct Bare {
  static constexpr const char* name = "bare futex";
  void wait() {
    while (word.exchange(0, std::memory_order_acquire) == 0)
      syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
  }
  void open() {
    word.store(1, std::memory_order_release);
    syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
  std::atomic<std::uint32_t> word{0};
};

struct Found {
  const char* name;
  bool busy;
  std::vector<double> ns, worked;
};

double worked_ns() {
  rusage used = {};
  getrusage(RUSAGE_SELF, &used);
  return 1e9 * static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
         1e3 * static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
}

template <class Gate>
void measure(Found& found, int turns) {
  Gate there, back;
  std::atomic<bool> over{false};
  std::vector<std::thread> busy;
  if (found.busy)
    for (unsigned i = 0; i < std::thread::hardware_concurrency(); ++i)
      busy.emplace_back([&] {
        while (!over.load(std::memory_order_relaxed)) {
        }
      });
  const double worked = worked_ns();
  const auto begin = std::chrono::steady_clock::now();
  std::thread other([&] {
    for (int turn = 0; turn < turns; ++turn) {
      there.wait();
      back.open();
    }
  });
  for (int turn = 0; turn < turns; ++turn) {
    there.open();
    back.wait();
  }
  other.join();
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  const double work = worked_ns() - worked;
  over = true;
  for (std::thread& thread : busy) thread.join();
  found.ns.push_back(took.count() / (2.0 * turns));
  found.worked.push_back(work / (2.0 * turns));
}

void print(const Found& found) {
  const auto list = [](const char* name, const std::vector<double>& numbers) {
    std::printf(", \"%s\": [", name);
    for (std::size_t i = 0; i < numbers.size(); ++i)
      std::printf("%s%.6g", i > 0 ? ", " : "", numbers[i]);
    std::printf("]");
  };
  std::printf("{\"lock\": \"%s\", \"busy\": %s", found.name, found.busy ? "true" : "false");
  list("ns", found.ns);
  list("worked", found.worked);
  std::printf("}\n");
  std::fflush(stdout);
}

template <class... Gate>
void measure_all(int rounds, int turns) {
  for (const bool busy : {false, true}) {
    Found all[] = {Found{Gate::name, busy, {}, {}}...};
    for (int round = 0; round < rounds; ++round) {
      Found* found = all;
      // Where others want the processors a turn takes a slice of time.
      (measure<Gate>(*found++, busy ? turns / 20 : turns), ...);
    }
    for (const Found& found : all) print(found);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 9;
  const int turns = argc > 2 ? std::atoi(argv[2]) : 10'000;
  measure_all<Bare, Ours, Semaphore, StdSemaphore>(rounds, turns);
}
