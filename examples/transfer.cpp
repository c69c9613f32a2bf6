#include <underthread/underthread.h>

#include <atomic>
#include <cstdio>
#include <mutex>

using namespace underthread;

int transfer(int, char**) {
  // The thread that would close the deadlock gets a DeadlockError, and the other goes on.
  set_deadlock_handler(raise_deadlock);
  Lock accounts;
  Lock orders;
  const LockName accounts_name(accounts, "accounts");
  const LockName orders_name(orders, "orders");
  std::atomic<int> holding{0};
  const auto move = [&holding](Lock& first, Lock& second) {
    const std::scoped_lock holds_first(first);
    // So that it happens each time.
    for (++holding; holding < 2;) sleep_for(std::chrono::milliseconds(1));
    const std::scoped_lock holds_second(second);
    std::puts("moved");
  };
  const auto try_to_move = [&move](Lock& first, Lock& second) {
    try {
      move(first, second);
    } catch (const DeadlockError& error) {
      std::printf("not moved: %s\n", error.what());
    }
  };
  Thread one({.name = "one"}, [&] { try_to_move(accounts, orders); });
  Thread two({.name = "two"}, [&] { try_to_move(orders, accounts); });
  one.join();
  two.join();
  return 0;
}
int main(int argc, char** argv) {
  return run_main(argc, argv, transfer);
}
