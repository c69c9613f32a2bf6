// A program that is built with ThreadSanitizer, on the library as it is installed, which is not.
// All that is shared here is ordered by what the library promises; the sanitizer sees that, or says
// otherwise.
#include <underthread/underthread.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

using namespace underthread;
using namespace std::chrono_literals;

namespace {

struct Message {
  std::string text;
};

void locks() {
  Lock lock;
  RLock again;
  int shared = 0;
  int more = 0;
  std::vector<Thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int turn = 0; turn < 200; ++turn) {
        {
          const With with(lock);
          ++shared;
        }
        const With with(again, 1h);
        ++more;
      }
    });
  for (auto& thread : threads) thread.join();
  std::printf("locks %d %d\n", shared, more);
}

void ends() {
  int written = 0;
  Thread first([&] { written = 1; });
  Thread second([&] {
    first.join();
    written += 1;
  });
  first.join();
  second.join();
  Thread third([&] { written += 1; });
  while (!third.is_done()) sleep_for(1ms);
  Task sum([&] { return std::make_unique<int>(written + 1); });
  std::printf("ends %d\n", *sum.get());
}

void interrupts() {
  std::string seen;
  {
    Thread waits([&] {
      try {
        sleep_for(1h);
      } catch (const Message& message) {
        seen = message.text;
      }
    });
    waits.interrupt(Message{"as sent"});
    waits.join();
  }
  int before = 0;
  {
    Thread stops([&](std::stop_token token) {
      try {
        sleep_for(1h);
      } catch (const SystemExit&) {
      }
      if (token.stop_requested()) seen += before == 1 ? " and stopped" : "";
    });
    before = 1;
    stops.request_stop();
    stops.join();
  }
  std::printf("interrupts %s\n", seen.c_str());
}

void handlers() {
  int noted = 0;
  underthread::signal(SIGUSR1, [&](int) { throw Message{std::to_string(noted)}; });
  Thread other([&] {
    noted = 7;
    interrupt_main(SIGUSR1);
  });
  try {
    sleep_for(1h);
  } catch (const Message& message) {
    std::printf("handlers %s\n", message.text.c_str());
  }
  other.join();
  std::string seen;
  Lock lock;
  set_excepthook([&](const ExceptHookArgs& args) {
    const With with(lock);
    seen = args.name;
  });
  Thread fails({.name = "failing"}, [] { throw 1; });
  try {
    fails.join();
  } catch (int) {
  }
  set_excepthook(nullptr);
  std::printf("hook %s\n", seen.c_str());
}

// What is left at a thread's end is dropped there.
void last_steps() {
  static int dropped = 0;
  struct Counts {
    ~Counts() { ++dropped; }
  };
  Thread([] {
    interrupt(get_ident(), std::make_exception_ptr(std::make_shared<Counts>()));
  }).join();
  std::printf("dropped %d\n", dropped);
}

}  // namespace

int main() {
  locks();
  ends();
  interrupts();
  handlers();
  last_steps();
}
