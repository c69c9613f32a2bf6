// soak: the rows once more, on real threads, for as long as one likes. What a machine does by
// itself is few of the schedules that the checker tries, but they are the machine's: its memory,
// its kernel.
//
//     soak SECONDS [ROW]...

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "rows/in_place.h"
#include "rows/table.h"

namespace explore {
namespace {

// Sanitizers do not follow a fork among threads: tests/fork_test.cpp says which does what.
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
constexpr bool cannot_fork = true;
#else
constexpr bool cannot_fork = false;
#endif

const RowInfo* current_row = nullptr;
// relaxed: handlers run in threads that have met since it was made, and whoever sends signals only
// asks whether it is there.
std::atomic<Row*> row{nullptr};
pid_t parent = 0;
std::atomic<int> children{0};
// Which thread of the row this is while it runs the row's code; -1: it does not, and a signal is
// not the row's. volatile: a handler reads it between any two instructions of this thread.
thread_local volatile std::sig_atomic_t thread_number = -1;
thread_local bool ends = false;
thread_local std::minstd_rand random_numbers;

/// Everyone waits here for everyone else.
class Meeting {
 public:
  explicit Meeting(int people) : people_(people) {}
  void meet() {
    const int meeting = meeting_.load();
    if (come_.fetch_add(1) + 1 == people_.load()) {
      come_.store(0);
      meeting_.fetch_add(1);
      meeting_.notify_all();
    } else {
      meeting_.wait(meeting);
    }
  }

 private:
  std::atomic<int> people_, come_{0}, meeting_{0};
};

[[noreturn]] void die(const char* what) {
  char line[300];
  const int length = std::snprintf(line, sizeof line, "soak: %s: %s\n", current_row->name, what);
  if (length > 0 && write(2, line, static_cast<std::size_t>(length)) < 0) _exit(3);
  _exit(1);
}

/// One run of the row, by as many threads as it has.
void run_once(const RowInfo& info, unsigned seed) {
  current_row = &info;
  parent = getpid();
  // Whoever is not done by then never will be.
  alarm(60);
  Meeting known(info.threads), made(info.threads);
  std::atomic<int> finished{0};
  std::atomic<bool> looked_at{false}, first_has_ended{false};
  std::unique_ptr<Row> owned;

  const auto work = [&](int number) {
    ends = false;
    random_numbers.seed(seed * 16 + static_cast<unsigned>(number) + 1);
    prepare_thread(number);
    known.meet();
    if (number == 0) {
      owned.reset(info.make());
      row.store(owned.get(), std::memory_order_relaxed);
    }
    made.meet();
    thread_number = number;
    try {
      owned->thread(number);
    } catch (...) {
      die("an exception left its thread");
    }
    thread_number = -1;
    if (getpid() != parent) _exit(0);
    if (ends && number == 0) first_has_ended.store(true);
    finished.fetch_add(1);
    finished.notify_all();
    if (ends) return;
    // The others stay known until the end has been looked at, by the first if it is still there.
    if (number == 0) {
      for (int now; (now = finished.load()) < info.threads;) finished.wait(now);
      owned->at_end();
      looked_at.store(true);
      looked_at.notify_all();
    }
    looked_at.wait(false);
  };

  std::vector<std::thread> threads;
  for (int number = info.needs_main ? 1 : 0; number < info.threads; ++number)
    threads.emplace_back(work, number);
  std::thread sender;
  if (info.may.signals > 0) {
    sender = std::thread([&] {
      for (int i = 0; i < info.may.signals && !threads.empty(); ++i) {
        std::this_thread::yield();
        if (row.load(std::memory_order_relaxed))
          pthread_kill(threads[seed % threads.size()].native_handle(), SIGRTMIN);
      }
    });
  }
  if (info.needs_main) work(0);
  for (int now; (now = finished.load()) < info.threads;) finished.wait(now);
  if (sender.joinable()) sender.join();
  if (first_has_ended.load()) {
    threads[0].join();
    threads.erase(threads.begin());
    owned->at_end();
    looked_at.store(true);
    looked_at.notify_all();
  }
  for (std::thread& thread : threads) thread.join();
  for (; children.load() > 0; children.fetch_sub(1)) {
    int status = 0;
    if (wait(&status) < 0 || status != 0) die("the child of a fork failed");
  }
  row.store(nullptr, std::memory_order_relaxed);
  alarm(0);
}

void handle_signal(int) {
  const int saved = errno;
  const int number = thread_number;
  if (number >= 0) row.load(std::memory_order_relaxed)->on_signal(number);
  errno = saved;
}

void give_up(int) {
  die("hangs: not done after a minute");
}

int soak(double seconds, const std::vector<const RowInfo*>& rows) {
  struct sigaction action {};
  action.sa_handler = handle_signal;
  sigaction(SIGRTMIN, &action, nullptr);
  action.sa_handler = give_up;
  sigaction(SIGALRM, &action, nullptr);

  std::map<std::string, unsigned long> runs;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  unsigned seed = static_cast<unsigned>(std::random_device()());
  std::printf("seed %u\n", seed);
  unsigned long all = 0;
  do {
    for (const RowInfo* info : rows) {
      for (int i = 0; i < 20; ++i) run_once(*info, ++seed);
      runs[info->name] += 20;
      all += 20;
    }
  } while (std::chrono::steady_clock::now() < end);
  for (const RowInfo* info : rows) std::printf("%-28s %10lu runs\n", info->name, runs[info->name]);
  std::printf("%lu runs of %zu rows on real threads, none failed\n", all, rows.size());
  return 0;
}

}  // namespace

void require(bool condition, const char* what) {
  if (!condition) die(what);
}

void step() {
  if (random_numbers() % 4 == 0) sched_yield();
}

int any_of(int options) {
  return static_cast<int>(random_numbers() % static_cast<unsigned>(options));
}

bool fork_here() {
  children.fetch_add(1);
  const pid_t child = fork();
  if (child < 0) die("no process");
  if (child == 0) {
    children.store(0);
    alarm(60);
  }
  return child == 0;
}

bool ended_a_sleep() {
  return false;
}

void end_as_threads_do() {
  ends = true;
}

void name(const void*, const char*) {}

}  // namespace explore

int main(int argc, char** argv) {
  char* rest = nullptr;
  const double seconds = argc > 1 ? std::strtod(argv[1], &rest) : -1;
  if (argc < 2 || *rest || !(seconds >= 0)) {
    std::fprintf(stderr, "usage: soak SECONDS [ROW]...\n");
    return 2;
  }
  std::vector<const explore::RowInfo*> rows;
  for (int i = 2; i < argc; ++i) {
    rows.push_back(explore::find_row(argv[i]));
    if (!rows.back()) {
      std::fprintf(stderr, "soak: there is no row %s\n", argv[i]);
      return 2;
    }
  }
  if (rows.empty())
    for (const auto table : explore::row_tables())
      for (const explore::RowInfo& row : table)
        if (!row.only_explored && !(row.forks && explore::cannot_fork)) rows.push_back(&row);
  return explore::soak(seconds, rows);
}
