#include <underthread/ident.h>

#include <set>
#include <thread>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "test_support.h"

namespace underthread {
namespace {

TEST(Ident, IsNonZeroAsWideAsAPointerAndWhatCPythonCallsTheThread) {
  static_assert(sizeof(Ident) == sizeof(void*));
  static_assert(std::is_unsigned_v<Ident>);
  EXPECT_NE(get_ident(), 0u);
  // CPython's PyThread_get_thread_ident is pthread_self as an integer.
  EXPECT_EQ(get_ident(), static_cast<Ident>(pthread_self()));
}

TEST(Ident, DiffersBetweenLiveThreadsAndStaysTheSameInEach) {
  const Ident here = get_ident();
  std::thread([here] {
    EXPECT_NE(get_ident(), here);
    EXPECT_EQ(get_ident(), get_ident());
  }).join();
  EXPECT_EQ(get_ident(), here);
}

TEST(NativeId, IsTheKernelsIdInThreadsOfOursAndOthers) {
  const auto kernel = [] { return static_cast<std::uint64_t>(syscall(SYS_gettid)); };
  EXPECT_EQ(get_native_id(), kernel());
  std::thread([&] { EXPECT_EQ(get_native_id(), kernel()); }).join();
  Thread([&] { EXPECT_EQ(get_native_id(), kernel()); }).join();
}

}  // namespace
}  // namespace underthread
