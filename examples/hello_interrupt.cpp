#include <underthread/underthread.h>

#include <cstdio>

using namespace underthread;
using namespace std::chrono_literals;

int hello(int, char**) {
  Thread sleeper({.name = "sleeper"}, [] { sleep_for(1h); });
  if (!sleeper.join(100ms)) std::printf("%s still sleeps\n", sleeper.name().c_str());
  Lock lock;
  lock.acquire();
  start_new_thread([] { interrupt_main(); });
  try {
    lock.acquire();  // nobody releases it
  } catch (const KeyboardInterrupt&) {
    std::puts("main was interrupted");
  }
  sleeper.interrupt();
  sleeper.join();
  return 0;
}
int main(int argc, char** argv) {
  return run_main(argc, argv, hello);
}
