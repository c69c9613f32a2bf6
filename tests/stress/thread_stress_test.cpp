// As many threads as a program could want.
#include <underthread/underthread.h>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <vector>

#include <gtest/gtest.h>

#include "lot/thread_record.h"

namespace underthread {
namespace {

TEST(ThreadStress, TwentyThousandWithSmallStacksLiveAtOnceAndJoin) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's threads are too large, and TSan has room for 8,128";
#endif
  constexpr std::size_t count = 20'000;
  std::atomic<std::size_t> through{0};
  {
    Lock gate;
    std::vector<Thread> threads;
    threads.reserve(count);
    const std::scoped_lock closed(gate);  // opens before the threads are joined, also by an error
    for (std::size_t i = 0; i < count; ++i)
      threads.emplace_back(ThreadOptions{.stack_size = 65'536}, [&] {
        const std::scoped_lock guard(gate);
        ++through;
      });
    EXPECT_GE(lot::live_count(), count);
  }
  EXPECT_EQ(through, count);
}

}  // namespace
}  // namespace underthread
