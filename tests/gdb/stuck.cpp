// A program that is stuck in each way that a post-mortem shows. It prints what the library says of
// it, deadlocks and a snapshot, the same of a child that it forks, and stays so until its standard
// input ends.
//
//     stuck [MODULE]    MODULE: a library with an underthread of its own, with a thread that waits
#include <underthread/underthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include <dlfcn.h>
#include <sys/prctl.h>
#include <unistd.h>

using namespace underthread;
using namespace std::chrono_literals;

namespace {

/// Threads that wait, of which none ever ends.
int waiting() {
  int count = 0;
  for (const ThreadSeen& thread : snapshot().threads) count += thread.wait.has_value();
  return count;
}

void await_waiting(int count) {
  while (waiting() != count) std::this_thread::sleep_for(1ms);
}

template <class F>
Thread& started(const char* name, F function) {
  return *new Thread({.name = name, .at_scope_end = AtScopeEnd::detach}, std::move(function));
}

/// Looks like the library's table to whoever does not ask for its address, and comes before it.
struct Decoy {
  std::array<char, 24> magic;
  std::array<unsigned, 4> numbers;
  const void* self;
};
constinit int elsewhere = 0;
[[gnu::used, gnu::retain]] constinit const Decoy decoy{
    {"underthread post-mortem"}, {1, sizeof(void*), 0, 0}, &elsewhere};

}  // namespace

int main(int argc, char** argv) {
  // A debugger that has not started it may look.
  prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
  set_deadlock_handler(
      [](const Deadlock& deadlock) { std::fputs(deadlock.text().c_str(), stdout); });
  std::puts("deadlocks:");

  // Threads wait for them to the end.
  auto& left = *new std::array<Lock, 2>;
  auto& accounts = *new Lock;
  auto& orders = *new RLock;
  auto& taken_twice = *new Lock;
  auto& left_behind = *new Lock;
  auto& of_main = *new Lock;
  auto& unwanted = *new RLock;
  // Enough for both sides of the tree that names are in.
  auto& free = *new std::array<Lock, 20>;
  std::vector<LockName> names;
  names.emplace_back(accounts, "an old name");
  names.emplace_back(accounts, "accounts");
  names.emplace_back(orders, "orders");
  names.emplace_back(left_behind, "left behind");
  names.emplace_back(of_main, "of main");
  names.emplace_back(unwanted, "unwanted");
  for (std::size_t i = 0; i < free.size(); ++i)
    names.emplace_back(free[i], "free " + std::to_string(i));
  of_main.acquire();
  unwanted.lock();

  // `one` is to have the record of one that has ended, which comes before that of `early`.
  std::atomic<bool> may_end{false};
  Thread& ender = started("ender", [&] {
    left_behind.lock();
    while (!may_end) std::this_thread::sleep_for(1ms);
  });
  std::atomic<bool> is_late{false};
  started("early", [&] {
    while (!is_late) std::this_thread::sleep_for(1ms);
    accounts.lock();
  });
  may_end = true;
  ender.join();
  // Each holds what the other wants, by guards.
  std::atomic<int> holders{0};
  const auto meet = [&](int all) {
    ++holders;
    while (holders != all) std::this_thread::yield();
  };
  Thread& one = started("one", [&] {
    const std::scoped_lock guard(accounts);
    meet(2);
    orders.lock();
  });
  started("two", [&] {
    const std::scoped_lock guard(orders);
    meet(2);
    accounts.lock();
  });
  await_waiting(2);
  // The same by acquire().
  for (const std::size_t mine : {0, 1})
    started(mine == 0 ? "three" : "four", [&, mine] {
      left[mine].acquire();
      meet(4);
      left[1 - mine].acquire();
    });
  await_waiting(4);
  started("selfish", [&] {
    taken_twice.lock();
    taken_twice.lock();
  });
  await_waiting(5);
  started("orphan", [&] { left_behind.lock(); });
  started("joiner", [&] { one.join(); });
  started("timed", [&] {
    const HoldInterrupts hold;
    (void)of_main.acquire(1h);
  });
  started("patient", [&] { accounts.acquire(); });
  // It comes before the threads of the cycle that it waits for, and is none of them.
  is_late = true;
  await_waiting(10);
  started("last", [] { sleep_for(1h); });
  await_waiting(11);
  // So that threads' waits are of different lengths, whoever measures.
  const auto lasts_long = [](const ThreadSeen& thread) {
    return !thread.wait || thread.wait->lasted >= 20ms;
  };
  for (Snapshot all = snapshot(); !std::ranges::all_of(all.threads, lasts_long); all = snapshot())
    std::this_thread::sleep_for(1ms);

  if (argc > 1) {
    void* const module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (!module) {
      std::puts(dlerror());
      return 1;
    }
    reinterpret_cast<void (*)()>(dlsym(module, "get_stuck"))();
  }
  // What the script looks for is in memory once more than the library is.
  std::ifstream program(argv[0], std::ios::binary);
  auto& copy = *new std::string(std::istreambuf_iterator<char>(program), {});

  std::printf("snapshot:\n%s", snapshot().text().c_str());
  std::fflush(stdout);
  // In a child nobody waits, and those that hold locks are not there.
  const pid_t child = fork();
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
    std::printf("child:\n%s%d of %zu bytes\nstuck\n", snapshot().text().c_str(), getpid(),
                copy.size());
    std::fflush(stdout);
    for (;;) pause();
  }
  while (std::getchar() != EOF) {
  }
  // Nothing here would end.
  std::_Exit(0);
}
