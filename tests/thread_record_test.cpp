#include "lot/thread_record.h"

#include <atomic>
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
  EXPECT_EQ(take_letter(me, more), first);
  EXPECT_TRUE(more);
  EXPECT_EQ(take_letter(me, more), second);
  EXPECT_FALSE(more);
  EXPECT_EQ(take_letter(me, more), nullptr);
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

TEST(ThreadRecord, OneThatItsThreadLeftBehindGoesWhenTheIdentIsUsedAgain) {
  // A destructor that comes back to the library in every round that the system gives it: the last
  // round is after we were told of the thread's end for the last time.
  current();  // our own key before the other, so that it goes first in each round
  static pthread_key_t again;
  ASSERT_EQ(pthread_key_create(&again,
                               [](void* value) {
                                 current();
                                 pthread_setspecific(again, value);
                               }),
            0);
  const std::size_t before = live_count();
  std::uintptr_t ident = 0;
  std::thread([&] {
    ident = os::thread_ident();
    current();
    pthread_setspecific(again, &again);
  }).join();
  ASSERT_EQ(live_count(), before + 1) << "nothing was left behind";
  bool used_again = false;
  EXPECT_TRUE(eventually([&] {
    std::thread([&] {
      used_again = os::thread_ident() == ident;
      ThreadRecord* me = current();
      if (used_again) {
        EXPECT_EQ(find(ident, [](ThreadRecord&) {}), me);
      }
    }).join();
    return used_again;
  }));
  EXPECT_EQ(live_count(), before);
  pthread_key_delete(again);
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
