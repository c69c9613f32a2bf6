#include "lot/mutex.h"

#include <thread>
#include <vector>

#include <gtest/gtest.h>

namespace underthread::lot {
namespace {

TEST(Mutex, OneThreadAtATimeIsInsideAndSeesTheLast) {
  constexpr int threads = 6;
  constexpr int rounds = 30'000;
  Mutex mutex;
  long count = 0;  // plain: a second thread inside is a data race and a wrong sum
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i)
    all.emplace_back([&] {
      for (int round = 0; round < rounds; ++round) {
        const Locked locked(mutex);
        ++count;
      }
    });
  for (auto& thread : all) thread.join();
  EXPECT_EQ(count, long{threads} * rounds);
}

TEST(Mutex, EveryOneOfManySleepersIsWoken) {
  Mutex mutex;
  for (int round = 0; round < 300; ++round) {
    mutex.lock();
    std::vector<std::thread> all;
    for (int i = 0; i < 4; ++i)
      all.emplace_back([&] {
        const Locked locked(mutex);
        std::this_thread::yield();  // the others get to sleep
      });
    std::this_thread::yield();
    mutex.unlock();
    for (auto& thread : all) thread.join();
  }
}

TEST(Mutex, AfterForgettingItIsUnlocked) {
  Mutex mutex;
  mutex.lock();
  mutex.forget();
  const Locked locked(mutex);
}

}  // namespace
}  // namespace underthread::lot
