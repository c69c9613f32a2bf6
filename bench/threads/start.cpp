// A thread that does nothing, started and joined: start [ROUNDS]. All have stacks of the same size.
#include <underthread/thread.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include <pthread.h>

#include "../row.h"

namespace {

template <class Start>
void measure(bench::Row& row, Start start_and_join) {
  constexpr int at_a_time = 20;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < at_a_time; ++i) start_and_join();
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  row.add("ns", took.count() / at_a_time);
}

void bare_thread() {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_t thread;
  if (pthread_create(&thread, &attributes, [](void*) -> void* { return nullptr; }, nullptr) != 0)
    std::abort();
  pthread_attr_destroy(&attributes);
  pthread_join(thread, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 200;
  const std::string work = "start and join";
  bench::Row bare(work, "pthread_create"), standard(work, "std::thread"),
      ours(work, "underthread::Thread");
  for (int round = 0; round < rounds; ++round) {
    measure(bare, bare_thread);
    measure(ours, [] { underthread::Thread([] {}).join(); });
    measure(standard, [] { std::thread([] {}).join(); });
  }
  for (const bench::Row* row : {&bare, &standard, &ours}) row->print();
}
