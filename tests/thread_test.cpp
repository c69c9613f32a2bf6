#include <underthread/thread.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test_support.h"

namespace underthread {
namespace {

using namespace std::chrono_literals;
using testing::eventually;
using testing::eventually_waits;
using testing::text_of;

/// Collects what goes to the excepthook while it exists.
class Caught {
 public:
  Caught() {
    before_ = set_excepthook([this](const ExceptHookArgs& args) {
      const std::scoped_lock guard(lock_);
      all_.push_back(args);
    });
  }
  ~Caught() { set_excepthook(before_); }
  Caught(const Caught&) = delete;
  Caught& operator=(const Caught&) = delete;

  std::vector<ExceptHookArgs> all() const {
    const std::scoped_lock guard(lock_);
    return all_;
  }

 private:
  ExceptHook before_;
  mutable Lock lock_;
  std::vector<ExceptHookArgs> all_;
};

TEST(StartNewThread, RunsTheFunctionAndReturnsItsIdent) {
  std::atomic<Ident> inside{0};
  const Ident ident = start_new_thread([&] { inside = get_ident(); });
  ASSERT_TRUE(eventually([&] { return inside != 0; }));
  EXPECT_EQ(ident, inside);
}

TEST(StartNewThread, CopiesItsArgumentsAndPassesThemAsRvalues) {
  std::atomic<int> sum{0};
  auto moved = std::make_unique<int>(20);
  int changed = 1;
  int seen_by_reference = 0;
  start_new_thread(
      [&sum](int copy, std::unique_ptr<int> owned, int& reference) {
        reference = 7;
        sum = copy + *owned;
      },
      changed, std::move(moved), std::ref(seen_by_reference));
  changed = 100;
  ASSERT_TRUE(eventually([&] { return sum != 0; }));
  EXPECT_EQ(sum, 21);
  EXPECT_EQ(seen_by_reference, 7);
}

TEST(StartNewThread, TakesFunctionPointersAndMemberFunctions) {
  struct Counter {
    std::atomic<int> count{0};
    void add(int n) { count += n; }
  };
  Counter counter;
  start_new_thread(&Counter::add, &counter, 3);
  ASSERT_TRUE(eventually([&] { return counter.count == 3; }));
}

TEST(StartNewThread, DestroysItsCopiesWhenTheFunctionReturns) {
  auto shared = std::make_shared<int>(1);
  start_new_thread([shared] {});
  EXPECT_TRUE(eventually([&] { return shared.use_count() == 1; }));
}

TEST(StartNewThread, ExitEndsTheThreadSilently) {
  const Caught caught;
  std::atomic<bool> after{false};
  const std::size_t before = lot::live_count();
  std::atomic<bool> reached{false};
  start_new_thread([&] {
    reached = true;
    exit();
    after = true;
  });
  ASSERT_TRUE(eventually([&] { return reached && lot::live_count() <= before; }));
  EXPECT_FALSE(after);
  EXPECT_TRUE(caught.all().empty());
}

TEST(StartNewThread, AnExceptionGoesToTheHookAndTheProcessLivesOn) {
  const Caught caught;
  const Ident ident = start_new_thread([] { throw std::out_of_range("too far"); });
  ASSERT_TRUE(eventually([&] { return caught.all().size() == 1; }));
  const ExceptHookArgs args = caught.all()[0];
  EXPECT_EQ(args.type, "std::out_of_range");
  EXPECT_EQ(args.what, "too far");
  EXPECT_EQ(args.name, "");
  EXPECT_EQ(args.ident, ident);
  EXPECT_THROW(std::rethrow_exception(args.exception), std::out_of_range);
}

TEST(ExceptHook, GetsExceptionsOfAnyType) {
  const Caught caught;
  Thread thread([] { throw 42; });
  EXPECT_THROW(thread.join(), int);
  ASSERT_EQ(caught.all().size(), 1u);
  EXPECT_EQ(caught.all()[0].type, "int");
  EXPECT_EQ(caught.all()[0].what, "");
}

TEST(ExceptHook, TheDefaultPrintsOneClearLine) {
  ::testing::internal::CaptureStderr();
  Ident ident = 0;
  {
    Thread thread(ThreadOptions{.name = "parser"}, [] { throw std::runtime_error("bad input"); });
    ident = thread.ident();
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(),
            "underthread: std::runtime_error: bad input ended thread 'parser' (ident " +
                std::to_string(ident) + ")\n");
}

TEST(ExceptHook, AHookThatThrowsIsReportedAndGoesNoFurther) {
  const ExceptHook before =
      set_excepthook([](const ExceptHookArgs&) { throw std::logic_error("hook"); });
  ::testing::internal::CaptureStderr();
  Thread([] { throw std::runtime_error("first"); }).is_done();
  const std::string text = ::testing::internal::GetCapturedStderr();
  set_excepthook(before);
  EXPECT_NE(text.find("std::runtime_error: first ended thread"), std::string::npos) << text;
  EXPECT_NE(text.find("std::logic_error: hook left the excepthook of thread"), std::string::npos)
      << text;
}

TEST(ExceptHook, SettingReturnsTheOneBeforeAndEmptyIsTheDefault) {
  int called = 0;
  const ExceptHook original = set_excepthook([&](const ExceptHookArgs&) { ++called; });
  EXPECT_FALSE(original);
  const ExceptHook mine = set_excepthook({});
  ASSERT_TRUE(mine);
  mine({});
  EXPECT_EQ(called, 1);
  EXPECT_FALSE(set_excepthook({}));
}

TEST(Thread, JoinWaitsForTheEnd) {
  Lock gate;
  gate.acquire();
  std::atomic<bool> ran{false};
  Thread thread([&] {
    gate.acquire();
    ran = true;
  });
  EXPECT_TRUE(thread.joinable());
  EXPECT_FALSE(thread.is_done());
  gate.release();
  thread.join();
  EXPECT_TRUE(ran);
  EXPECT_TRUE(thread.is_done());
}

TEST(Thread, JoinWithATimeoutSaysWhetherItEnded) {
  Lock gate;
  gate.acquire();
  Thread thread([&] { gate.acquire(); });
  EXPECT_FALSE(thread.join(0));
  EXPECT_FALSE(thread.join(5ms));
  EXPECT_EQ(text_of<std::invalid_argument>([&] { thread.join(-2); }),
            "timeout value must be a non-negative number");
  EXPECT_EQ(text_of<std::overflow_error>([&] { thread.join(1e20); }), "timeout value is too large");
  gate.release();
  EXPECT_TRUE(thread.join(3600));
  EXPECT_TRUE(thread.join(0));
}

TEST(Thread, JoinAgainReturnsAtOnce) {
  Thread thread([] {});
  thread.join();
  thread.join();
  EXPECT_TRUE(thread.join(0));
}

TEST(Thread, ManyMayJoinAtOnce) {
  Lock gate;
  gate.acquire();
  Thread thread([&] { gate.acquire(); });
  std::vector<Thread> joiners;
  for (int i = 0; i < 4; ++i) {
    joiners.emplace_back([&] { thread.join(); });
    ASSERT_TRUE(eventually_waits(joiners.back()));
  }
  gate.release();
  for (Thread& joiner : joiners) joiner.join();
}

TEST(Thread, JoiningItselfIsAnError) {
  Thread thread;
  std::atomic<bool> ready{false};
  std::string text;
  thread = Thread([&] {
    while (!ready) std::this_thread::yield();
    text = text_of<error>([&] { thread.join(); });
  });
  ready = true;
  thread.join();
  EXPECT_EQ(text, "cannot join current thread");
}

TEST(Thread, ThatDropsItsOwnLastHandleEndsWithoutHanging) {
  std::atomic<bool> dropped{false};
  auto holder = std::make_shared<Thread>();
  Lock gate;
  gate.acquire();
  *holder = Thread([&dropped, &gate, &holder] {
    gate.acquire();
    holder.reset();
    dropped = true;
  });
  gate.release();
  EXPECT_TRUE(eventually([&] { return dropped.load(); }));
}

TEST(Thread, TheExceptionIsGivenToWhoeverJoins) {
  const Caught caught;
  Thread thread(ThreadOptions{.name = "worker"}, [] { throw std::runtime_error("broken"); });
  EXPECT_EQ(text_of<std::runtime_error>([&] { thread.join(); }), "broken");
  EXPECT_EQ(text_of<std::runtime_error>([&] { thread.join(1); }), "broken");
  ASSERT_EQ(caught.all().size(), 1u);
  EXPECT_EQ(caught.all()[0].name, "worker");
}

TEST(Thread, ExitIsNoExceptionForWhoeverJoins) {
  const Caught caught;
  Thread thread([] { exit(); });
  thread.join();
  EXPECT_TRUE(caught.all().empty());
}

TEST(Thread, DestroyingItJoinsAndDropsTheException) {
  const Caught caught;
  std::atomic<bool> ran{false};
  {
    const Thread thread([&] {
      ran = true;
      throw 1;
    });
  }
  EXPECT_TRUE(ran);
}

TEST(Thread, AssigningToItJoinsTheOneBefore) {
  std::atomic<int> ended{0};
  Lock gate;
  gate.acquire();
  Thread thread([&] {
    gate.acquire();
    ++ended;
  });
  Thread opener([&] { gate.release(); });
  thread = Thread([] {});
  EXPECT_EQ(ended, 1);
  thread.join();
}

TEST(Thread, DetachedItGoesOnAndIsNotWaitedFor) {
  Lock gate;
  gate.acquire();
  std::atomic<bool> ended{false};
  {
    Thread thread([&] {
      gate.acquire();
      ended = true;
    });
    thread.detach();
    EXPECT_FALSE(thread.joinable());
    EXPECT_EQ(text_of<error>([&] { thread.detach(); }), "thread not started");
  }
  EXPECT_FALSE(ended);
  gate.release();
  EXPECT_TRUE(eventually([&] { return ended.load(); }));
}

TEST(Thread, DetachingAfterAJoinIsLegal) {
  Thread thread([] {});
  thread.join();
  thread.detach();
  EXPECT_FALSE(thread.joinable());
}

TEST(Thread, ABindingJoinsAsItsWaitSays) {
  Lock gate;
  gate.acquire();
  const Thread thread([&] {
    gate.acquire();
    throw 1;
  });
  lot::Wait at_once{.until = 0};
  EXPECT_EQ(thread.join_waiting(at_once), lot::WaitEnd::timed_out);
  const Caught caught;
  gate.release();
  lot::Wait for_ever;
  EXPECT_EQ(thread.join_waiting(for_ever), lot::WaitEnd::done);
}

TEST(Thread, MovedFromHasNoThread) {
  Thread a([] {});
  Thread b = std::move(a);
  EXPECT_FALSE(a.joinable());
  EXPECT_EQ(text_of<error>([&] { a.join(); }), "thread not started");
  EXPECT_EQ(text_of<error>([&] { a.ident(); }), "thread not started");
  EXPECT_EQ(text_of<error>([] { Thread().is_done(); }), "thread not started");
  b.join();
}

TEST(Thread, KnowsItsIdentNativeIdAndName) {
  std::atomic<Ident> ident{0};
  std::atomic<std::uint64_t> native_id{0};
  std::string kernel_name(64, '\0');
  Thread thread(ThreadOptions{.name = "a name longer than the system keeps"}, [&] {
    ident = get_ident();
    native_id = get_native_id();
    pthread_getname_np(pthread_self(), kernel_name.data(), kernel_name.size());
  });
  EXPECT_NE(thread.native_id(), 0u);
  thread.join();
  EXPECT_EQ(thread.ident(), ident);
  EXPECT_EQ(thread.native_id(), native_id);
  EXPECT_EQ(thread.name(), "a name longer than the system keeps");
  EXPECT_STREQ(kernel_name.c_str(), "a name longer t");
}

TEST(Thread, ANameIsNotCutWithinACharacter) {
  std::string kernel_name(64, '\0');
  Thread(ThreadOptions{.name = "vierzehn Byte \xC3\xA4"}, [&] {
    pthread_getname_np(pthread_self(), kernel_name.data(), kernel_name.size());
  }).join();
  EXPECT_STREQ(kernel_name.c_str(), "vierzehn Byte ");
}

TEST(Thread, JoinReturnsAfterThreadLocalDestructorsHaveRun) {
  static std::atomic<bool> destroyed;
  struct Local {
    ~Local() { destroyed = true; }
  };
  for (int i = 0; i < 200; ++i) {
    destroyed = false;
    Thread([] {
      thread_local Local local;
      static_cast<void>(&local);
    }).join();
    ASSERT_TRUE(destroyed);
  }
}

TEST(Thread, TheSystemsOwnUnwindingPassesThroughAndEndsIt) {
  const Caught caught;
  std::atomic<bool> unwound{false};
  Thread thread([&] {
    struct Scope {
      std::atomic<bool>& unwound;
      ~Scope() { unwound = true; }
    } scope{unwound};
    pthread_exit(nullptr);
  });
  thread.join();
  EXPECT_TRUE(unwound);
  EXPECT_TRUE(thread.is_done());
  EXPECT_TRUE(caught.all().empty());
}

std::size_t stack_of_this_thread() {
  pthread_attr_t attributes;
  void* start = nullptr;
  std::size_t size = 0;
  pthread_getattr_np(pthread_self(), &attributes);
  pthread_attr_getstack(&attributes, &start, &size);
  pthread_attr_destroy(&attributes);
  return size;
}

std::size_t stack_of_new_thread(ThreadOptions options = {}) {
  std::size_t size = 0;
  Thread(std::move(options), [&] { size = stack_of_this_thread(); }).join();
  return size;
}

class StackSize : public ::testing::Test {
 protected:
  ~StackSize() override { stack_size(0); }
};

TEST_F(StackSize, IsZeroAtFirstAndSettingReturnsTheOldOne) {
  EXPECT_EQ(stack_size(), 0u);
  EXPECT_EQ(stack_size(65'536), 0u);
  EXPECT_EQ(stack_size(), 65'536u);
  EXPECT_EQ(stack_size(0), 65'536u);
}

TEST_F(StackSize, IsWhatANewThreadReallyGets) {
  // Each larger than any before it: the C library keeps the stacks of ended threads, and gives one
  // that is up to four times as large as asked rather than make a new one.
  std::size_t size = 16 << 20;
  for (int i = 0; i < 3; ++i) {
    stack_size(size += 1 << 20);
    EXPECT_EQ(stack_of_new_thread(), size);
    stack_size(size += 1 << 20);
    std::atomic<std::size_t> forgotten{0};
    start_new_thread([&] { forgotten = stack_of_this_thread(); });
    ASSERT_TRUE(eventually([&] { return forgotten != 0; }));
    EXPECT_EQ(forgotten, size);
  }
}

TEST_F(StackSize, CanBeSetForOneThread) {
  EXPECT_EQ(stack_of_new_thread({.stack_size = 32 << 20}), std::size_t{32} << 20);
  EXPECT_EQ(stack_of_new_thread({.stack_size = (33 << 20) - 1}), std::size_t{33} << 20);
  EXPECT_EQ(text_of<std::invalid_argument>([] { stack_of_new_thread({.stack_size = 100}); }),
            "size not valid: 100 bytes");
}

TEST_F(StackSize, IsNeverLessThanAskedWhateverEndedBefore) {
  for (const std::size_t size : {1'048'576u, 32'768u, 262'144u, 65'536u}) {
    stack_size(size);
    EXPECT_GE(stack_of_new_thread(), size);
  }
}

TEST_F(StackSize, IsRoundedUpToWholePages) {
  stack_size(100'000);
  EXPECT_EQ(stack_size(), 102'400u);
}

TEST_F(StackSize, AnythingElseIsRefusedAndLeavesItAsItWas) {
  stack_size(65'536);
  for (const std::size_t bad : {std::size_t{1}, std::size_t{32'767}, ~std::size_t{0}})
    EXPECT_EQ(text_of<std::invalid_argument>([&] { stack_size(bad); }),
              "size not valid: " + std::to_string(bad) + " bytes");
  EXPECT_EQ(stack_size(), 65'536u);
}

TEST_F(StackSize, TheSmallestIsEnoughToThrowAndToBeReported) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "a sanitizer's own frames do not fit into 32 KiB";
#endif
  const Caught caught;
  stack_size(32'768);
  Thread thread([] { throw std::runtime_error("small"); });
  EXPECT_EQ(text_of<std::runtime_error>([&] { thread.join(); }), "small");
}

TEST(ThreadStart, ThatFailsForMemorySaysHowMuchWasWanted) {
  const std::size_t size = std::size_t{1} << 46;  // more than the address space has in one piece
  get_native_id();                                // this thread counts too, from its first use
  const std::size_t before = lot::live_count();
  const std::string text =
      text_of<error>([&] { Thread(ThreadOptions{.stack_size = size}, [] {}).join(); });
  EXPECT_EQ(text.rfind("can't start new thread: ", 0), 0u) << text;
  EXPECT_NE(text.find("no memory for a stack of " + std::to_string(size) + " bytes"),
            std::string::npos)
      << text;
  EXPECT_EQ(lot::live_count(), before);
}

TEST(ThreadStart, ThatFailsForTheUsersLimitNamesIt) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "the sanitizer ends a process that cannot start a thread";
#endif
  const int status = testing::status_of_child([] {
    // Not root, to whom the limit does not apply.
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0)) return false;
    rlimit before{};
    if (getrlimit(RLIMIT_NPROC, &before) != 0) return false;
    const rlimit few{3, before.rlim_max};
    if (setrlimit(RLIMIT_NPROC, &few) != 0) return false;
    std::string text;
    std::vector<Thread> threads;
    Lock gate;
    gate.acquire();
    try {
      for (int i = 0; i < 100; ++i) threads.emplace_back([&] { gate.lock(), gate.unlock(); });
    } catch (const error& refused) {
      text = refused.what();
    }
    gate.release();
    threads.clear();
    const bool told = text.rfind("can't start new thread: ", 0) == 0 &&
                      text.find("RLIMIT_NPROC allows this user 3 threads") != std::string::npos;
    if (!told) std::fprintf(stderr, "told: %s\n", text.c_str());
    // And it can go on where it may.
    if (setrlimit(RLIMIT_NPROC, &before) != 0) return false;
    Thread([] {}).join();
    return told;
  });
  EXPECT_EQ(status, 0);
}

TEST(ExceptHook, InterruptsThatArePendingForTheThreadLeaveItAlone) {
  Lock lock;
  std::string seen;
  const ExceptHook before = set_excepthook([&](const ExceptHookArgs& args) {
    const With with(lock);  // a safe point
    seen = args.what;
  });
  Thread([] {
    interrupt(get_ident(), SystemExit());
    throw std::runtime_error("said");
  }).detach();
  EXPECT_TRUE(eventually([&] {
    const With with(lock);
    return seen == "said";
  }));
  set_excepthook(before);
}

// Its handle may have the address that the ended one's had.
TEST(Thread, WhatIsDroppedAtAThreadsEndMayStartAndJoinAnother) {
  static std::atomic<int> joined{0};
  struct Starts {
    ~Starts() {
      Thread other([] {});
      other.join();
      ++joined;
    }
  };
  for (int turn = 0; turn < 20; ++turn) {
    const int before = joined;
    Thread ends(
        [] { interrupt(get_ident(), std::make_exception_ptr(std::make_shared<Starts>())); });
    ends.detach();
    ASSERT_TRUE(eventually([&] { return joined > before; }));
  }
}

TEST(Thread, ACancellationOfWhoWaitsForOneInADestructorWaitsToo) {
  Lock gate;
  gate.acquire();
  static std::atomic<bool> is_through{false};
  is_through = false;
  static std::atomic<Ident> waiter{0};
  pthread_t cancelled{};
  ASSERT_EQ(pthread_create(
                &cancelled, nullptr,
                [](void* argument) -> void* {
                  {
                    Thread waits([&] { static_cast<Lock*>(argument)->acquire(); });
                    waiter = get_ident();
                  }
                  is_through = true;
                  return nullptr;
                },
                &gate),
            0);
  ASSERT_TRUE(eventually([] { return waiter != 0 && testing::waits_for(waiter) != nullptr; }));
  pthread_cancel(cancelled);
  gate.release();
  pthread_join(cancelled, nullptr);
  EXPECT_TRUE(is_through);
}

}  // namespace
}  // namespace underthread
