#include "lot/thread_record.h"

#include <atomic>
#include <climits>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "os/native_thread.h"
#include "test_support.h"

namespace underthread::lot {
namespace {

using testing::eventually;

TEST(ThreadRecord, AThreadThatIsNotOursGetsOneAtItsFirstUse) {
  std::thread([] {
    EXPECT_EQ(this_thread, nullptr);
    ThreadRecord* me = current();
    ASSERT_NE(me, nullptr);
    EXPECT_EQ(current(), me);
    EXPECT_EQ(this_thread, me);
    EXPECT_EQ(ident_of(me->holder), os::thread_ident());
    EXPECT_EQ(me->native_id.load(), static_cast<std::uint64_t>(syscall(SYS_gettid)));
  }).join();
}

TEST(ThreadRecord, NoHolderIsZeroOrSharesBitsWithTheFlags) {
  EXPECT_NE(current()->holder, 0u);
  EXPECT_EQ(current()->holder & 3u, 0u);
}

TEST(ThreadRecord, AHolderNamesNobodyOnceItsThreadHasEnded) {
  std::uint32_t holder = 0;
  std::uintptr_t ident = 0;
  std::thread([&] {
    holder = current()->holder;
    ident = os::thread_ident();
    EXPECT_TRUE(is_alive(holder));
  }).join();
  EXPECT_FALSE(is_alive(holder));
  EXPECT_EQ(find(ident, [](ThreadRecord&) {}), nullptr);
}

TEST(ThreadRecord, AReusedRecordHasAnotherHolder) {
  std::set<std::uint32_t> holders;
  for (int i = 0; i < 600; ++i)
    std::thread([&] { EXPECT_TRUE(holders.insert(current()->holder).second); }).join();
}

TEST(ThreadRecord, RecordsAreReusedSoThatThreadsComingAndGoingNeedNoMore) {
  std::set<std::uint32_t> indexes;
  for (int i = 0; i < 2'000; ++i) std::thread([&] { indexes.insert(current()->index); }).join();
  EXPECT_LT(indexes.size(), 300u);  // one chunk
}

TEST(ThreadRecord, AReservedOneThatIsCancelledIsFreeAgain) {
  const std::size_t before = live_count();
  ThreadRecord* record = reserve();
  ASSERT_NE(record, nullptr);
  const std::uint32_t holder = record->holder;
  EXPECT_NE(holder, 0u);
  EXPECT_FALSE(is_alive(holder));
  cancel(*record);
  EXPECT_EQ(live_count(), before);
  announce(*record, holder, 12345);  // too late: it is not that thread's any more
  EXPECT_EQ(find(12345, [](ThreadRecord&) {}), nullptr);
}

TEST(ThreadRecord, AnAnnouncedThreadIsFoundBeforeItRuns) {
  ThreadRecord* record = reserve();
  announce(*record, record->holder, 54321);
  EXPECT_EQ(find(54321, [](ThreadRecord&) {}), record);
  EXPECT_EQ(ident_of(record->holder), 54321u);
  // It comes to life as a real thread, and leaves the registry with it.
  std::thread([&] {
    adopt(*record);
    EXPECT_EQ(current(), record);
  }).join();
  EXPECT_EQ(find(54321, [](ThreadRecord&) {}), nullptr);
}

TEST(ThreadRecord, ANameIsKeptToThirtyOneBytes) {
  ThreadRecord& me = *current();
  set_name(me, "indexer");
  EXPECT_EQ(name_of(me), "indexer");
  set_name(me, std::string(100, 'x'));
  EXPECT_EQ(name_of(me), std::string(31, 'x'));
  set_name(me, std::string(30, 'x') + "\xc3\xa4");
  EXPECT_EQ(name_of(me), std::string(30, 'x')) << "half of a character";
  set_name(me, "");
  EXPECT_EQ(name_of(me), "");
}

struct Counted final : Letter {
  explicit Counted(std::atomic<int>& count) : deleted(count) {}
  ~Counted() override { ++deleted; }
  std::atomic<int>& deleted;
};

TEST(ThreadRecord, LettersAreTakenFirstSentFirst) {
  ThreadRecord& me = *current();
  std::atomic<int> deleted{0};
  auto* first = new Counted(deleted);
  auto* second = new Counted(deleted);
  EXPECT_TRUE(send(os::thread_ident(), *first));
  EXPECT_TRUE(send(os::thread_ident(), *second));
  EXPECT_TRUE(take_pending(me));
  EXPECT_FALSE(take_pending(me));
  bool more = false;
  EXPECT_EQ(me.mailbox.take(me.holder, more), first);
  EXPECT_TRUE(more);
  EXPECT_EQ(me.mailbox.take(me.holder, more), second);
  EXPECT_FALSE(more);
  EXPECT_EQ(me.mailbox.take(me.holder, more), nullptr);
  delete first;
  delete second;
}

TEST(ThreadRecord, ALetterForTheThreadThatWasThereBeforeIsDropped) {
  ThreadRecord& me = *current();
  std::atomic<int> deleted{0};
  auto* late = new Counted(deleted);
  late->holder = me.holder - (1u << holder_shift);
  ASSERT_TRUE(me.mailbox.put(*late));
  auto* mine = new Counted(deleted);
  ASSERT_TRUE(send_to_holder(me.holder, *mine));
  EXPECT_TRUE(take_pending(me));
  bool more = true;
  EXPECT_EQ(me.mailbox.take(me.holder, more), mine);
  EXPECT_FALSE(more);
  EXPECT_EQ(deleted, 1);
  delete mine;
}

TEST(ThreadRecord, ALetterThatIsPutBackIsTheFirstAgain) {
  ThreadRecord& me = *current();
  std::atomic<int> deleted{0};
  auto* first = new Counted(deleted);
  auto* second = new Counted(deleted);
  ASSERT_TRUE(send(os::thread_ident(), *first));
  bool more = false;
  ASSERT_EQ(me.mailbox.take(me.holder, more), first);
  ASSERT_TRUE(send(os::thread_ident(), *second));
  me.mailbox.put_back(*first);
  EXPECT_EQ(me.mailbox.count(), 2u);
  EXPECT_EQ(me.mailbox.take(me.holder, more), first);
  EXPECT_TRUE(more);
  EXPECT_EQ(me.mailbox.take(me.holder, more), second);
  EXPECT_FALSE(more);
  take_pending(me);
  delete first;
  delete second;
}

TEST(ThreadRecord, ALetterToNobodyStaysTheSenders) {
  std::atomic<int> deleted{0};
  Counted letter(deleted);
  EXPECT_FALSE(send(1, letter));
  EXPECT_EQ(deleted, 0);
}

TEST(ThreadRecord, AnUnreadLetterIsDeletedWithItsThread) {
  std::atomic<int> deleted{0};
  std::thread([&] {
    current();
    EXPECT_TRUE(send(os::thread_ident(), *new Counted(deleted)));
  }).join();
  EXPECT_EQ(deleted, 1);
}

TEST(ThreadRecord, DestructorsOfKeysFindTheThreadAsItWasInAllRoundsButTheLast) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP()
      << "the sanitizer takes leave of a thread in the last round, and knows nothing after that";
#endif
  current();
  static pthread_key_t again;
  static std::vector<const ThreadRecord*> found;
  found.clear();
  ASSERT_EQ(pthread_key_create(&again,
                               [](void* value) {
                                 found.push_back(current());
                                 pthread_setspecific(again, value);
                               }),
            0);
  const ThreadRecord* its = nullptr;
  std::thread([&] {
    its = current();
    pthread_setspecific(again, &again);
  }).join();
  ASSERT_EQ(found.size(), std::size_t{PTHREAD_DESTRUCTOR_ITERATIONS});
  for (std::size_t round = 0; round + 1 < found.size(); ++round) EXPECT_EQ(found[round], its);
  pthread_key_delete(again);
}

TEST(ThreadRecord, AThreadThatComesBackAfterItsEndIsFoundByNobodyAndItsRecordIsUsedAgain) {
#if defined(__SANITIZE_THREAD__)
  GTEST_SKIP()
      << "the sanitizer takes leave of a thread in the last round, and knows nothing after that";
#endif
  current();  // our own key before the other, so that it goes first in each round
  static pthread_key_t again;
  static std::uint32_t late = 0;
  static std::uintptr_t ident = 0;
  ASSERT_EQ(pthread_key_create(&again,
                               [](void* value) {
                                 late = current()->holder;
                                 pthread_setspecific(again, value);
                               }),
            0);
  const std::size_t before = live_count();
  std::thread([&] {
    ident = os::thread_ident();
    const std::uint32_t first = current()->holder;
    pthread_setspecific(again, &again);
    late = first;
  }).join();
  EXPECT_EQ(live_count(), before);
  EXPECT_EQ(find(ident, [](ThreadRecord&) {}), nullptr);
  std::atomic<int> deleted{0};
  Counted letter(deleted);
  EXPECT_FALSE(send(ident, letter));
  EXPECT_FALSE(send_to_holder(late, letter));
  // Each thread that starts looks whether one has gone.
  EXPECT_TRUE(eventually([&] {
    std::thread([] { current(); }).join();
    return !is_alive(late);
  }));
  pthread_key_delete(again);
}

TEST(ThreadRecord, TenMillionThreadsHaveAsManyHolders) {
  // A record serves all its generations before the next is taken: so they grow.
  ThreadRecord* const first = reserve();
  std::uint32_t last = first->holder;
  cancel(*first);
  for (int i = 0; i < 10'000'000; ++i) {
    ThreadRecord* const record = reserve();
    const std::uint32_t holder = record->holder;
    cancel(*record);
    if (holder <= last) {
      FAIL() << "thread " << i << " has holder " << holder << " after " << last;
    }
    last = holder;
  }
}

TEST(ThreadRecord, WhatIsCalledAtTheEndRunsAfterThreadLocalDestructors) {
  static std::vector<std::string> order;
  struct Local {
    ~Local() { order.push_back("thread_local"); }
  };
  order.clear();
  std::thread([] {
    thread_local Local local;
    static_cast<void>(local);
    ThreadRecord& me = *current();
    me.at_end = [](void*) {
      order.push_back("end");
      EXPECT_NE(this_thread, nullptr);
    };
  }).join();
  EXPECT_EQ(order, (std::vector<std::string>{"thread_local", "end"}));
}

}  // namespace
}  // namespace underthread::lot
