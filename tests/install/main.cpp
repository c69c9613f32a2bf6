#include <underthread/underthread.h>

#include <cstdio>

int main() {
  underthread::Lock lock;
  lock.acquire();
  underthread::Thread thread([&] { lock.release(); });
  thread.join();
  std::puts(lock.locked() ? "locked" : "released");
}
