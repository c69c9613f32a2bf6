// A library with an underthread of its own: `get_stuck` starts a thread in it that waits for ever.
#include <underthread/underthread.h>

#include <chrono>
#include <thread>

using namespace underthread;

extern "C" [[gnu::visibility("default")]] void get_stuck() {
  auto& lock = *new Lock;
  new LockName(lock, "of the module");
  lock.lock();
  new Thread({.name = "in the module", .at_scope_end = AtScopeEnd::detach}, [&] { lock.lock(); });
  while (snapshot().locks.empty() || snapshot().locks[0].waiting == 0)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}
