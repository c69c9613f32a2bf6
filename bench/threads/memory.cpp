// What a thread takes that waits: memory [THREADS]. Bytes of memory for each of so many threads
// with stacks of 64 KiB, each asleep: ours in `acquire`, bare ones in a futex; each kind in a
// process of its own.
#include <underthread/lock.h>
#include <underthread/thread.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../row.h"
#include "../sleeper.h"

namespace {

constexpr std::size_t stack = 64 << 10;

/// Bytes of this process's own memory, in pages that it has touched, and of the kernel's tables of
/// them.
double used() {
  std::FILE* const status = std::fopen("/proc/self/status", "r");
  if (!status) std::abort();
  char line[256];
  double kilobytes = 0;
  while (std::fgets(line, sizeof(line), status))
    for (const char* field : {"RssAnon:", "VmPTE:"})
      if (std::strncmp(line, field, std::strlen(field)) == 0)
        kilobytes += std::atof(line + std::strlen(field));
  std::fclose(status);
  return kilobytes * 1024;
}

double ours(int threads) {
  underthread::Lock lock;
  lock.acquire();
  std::vector<underthread::Thread> all;
  all.reserve(static_cast<std::size_t>(threads));
  const double before = used();
  for (int i = 0; i < threads; ++i) {
    all.emplace_back(underthread::ThreadOptions{.stack_size = stack}, [&] { lock.acquire(); });
    bench::Sleeper(all.back().native_id()).await();
  }
  const double after = used();
  // The threads have not ended, and the process does not wait for them.
  for (underthread::Thread& thread : all) thread.detach();
  return (after - before) / threads;
}

std::atomic<std::uint32_t> word{0};
std::atomic<std::uint64_t> started{0};

double bare(int threads) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stack);
  const double before = used();
  for (int i = 0; i < threads; ++i) {
    started = 0;
    pthread_t thread;
    const auto wait = [](void*) -> void* {
      started = static_cast<std::uint64_t>(syscall(SYS_gettid));
      for (;;) syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
    };
    if (pthread_create(&thread, &attributes, wait, nullptr) != 0) std::abort();
    while (started == 0) sched_yield();
    bench::Sleeper(started).await();
  }
  return (used() - before) / threads;
}

void measure(bench::Row& row, double (*in_a_process)(int), int threads) {
  int ends[2];
  if (pipe(ends) != 0) std::abort();
  const pid_t child = fork();
  if (child == -1) std::abort();
  if (child == 0) {
    const double bytes = in_a_process(threads);
    _exit(write(ends[1], &bytes, sizeof(bytes)) == sizeof(bytes) ? 0 : 1);
  }
  close(ends[1]);
  double bytes = 0;
  if (read(ends[0], &bytes, sizeof(bytes)) == sizeof(bytes)) row.add("bytes", bytes);
  close(ends[0]);
  waitpid(child, nullptr, 0);
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 10'000;
  const std::string work = "memory of each of " + std::to_string(threads) + " threads asleep";
  bench::Row of_bare(work, "pthread in a futex"), of_ours(work, "underthread::Thread");
  for (int round = 0; round < 3; ++round) {
    measure(of_bare, bare, threads);
    measure(of_ours, ours, threads);
  }
  of_bare.print();
  of_ours.print();
}
