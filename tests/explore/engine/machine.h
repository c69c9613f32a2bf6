// Machine: the threads, the kernel and the clock of a run. One thread runs at a time; before each
// operation that others could notice, any other may go on instead.
//
// Code outside src/ and the rows calls it: the compiler's hooks (tsan_hooks.cpp), the os layer
// (tests/explore/os), and what rows ask for (rows/row.h).
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "engine/address_space.h"
#include "engine/budget.h"
#include "engine/choices.h"
#include "engine/fiber.h"
#include "engine/memory.h"
#include "engine/seen.h"
#include "engine/trace.h"

namespace explore {

enum class SleepEnd : std::uint8_t { woken, timed_out, signalled };

/// What a run is of.
struct Program {
  int threads = 0;
  void (*thread)(int number) = nullptr;     ///< runs in each of them
  void (*on_signal)(int number) = nullptr;  ///< a signal's handler, in that thread
  /// Time-outs are among what it is about: that nobody is left who could run before is no fault.
  bool time_outs_are_needed = false;
  /// When a thread sleeps or ends, the first that can goes on, and no other.
  bool in_turn = false;
};

enum class RunEnd : std::uint8_t { complete, cut, failed };

class Machine final : public StaleReads {
  AddressSpace space_;  // before the memory that is about it

 public:
  Machine();

  Choices choices;
  Memory memory;
  Trace trace;

  // --- For whoever runs runs

  /// Outside of runs: `make_known(i)` as thread i, for what every run is to find in place.
  void prepare(int threads, void (*make_known)(int));
  /// One run. `begin` and `end` run before and after the threads, with nobody else there.
  RunEnd run(const Program& program, Model model, const Budget& budget, Seen* seen, void (*begin)(),
             void (*end)());
  /// After a run, once its end has been looked at: all memory is as it was before it.
  void put_back() noexcept { space_.end_run(); }
  const char* failure() const noexcept { return failure_; }
  const AddressSpace& space() const noexcept { return space_; }

  // --- For the hooks

  /// Explored code runs now: its accesses are of interest.
  bool exploring() const noexcept { return mode_ == Mode::exploring; }
  std::uint64_t load(std::uintptr_t address, unsigned size, Order order, void* pc);
  void store(std::uintptr_t address, unsigned size, Order order, std::uint64_t value, void* pc);
  std::uint64_t modify(std::uintptr_t address, unsigned size, Order order, Memory::Change change,
                       void* pc);
  bool compare_exchange(std::uintptr_t address, unsigned size, Order success, Order failure,
                        std::uint64_t& expected, std::uint64_t fresh, bool weak, void* pc);
  void fence(Order order, void* pc);
  void plain(std::uintptr_t address, std::size_t size, bool is_write, void* pc);
  void* allocate(std::size_t bytes);
  /// False: it is not from the explored heap.
  bool free(void* memory);

  // --- For the os layer

  SleepEnd futex_wait(std::uintptr_t word, std::uint32_t expected, std::int64_t until, void* pc);
  void futex_wake_one(std::uintptr_t word, void* pc);
  std::int64_t now(void* pc);
  void relax(void* pc);
  /// The system would not start a thread now.
  bool may_refuse_thread(void* pc);
  /// @return the new thread's number; -1: there is no room for one more
  int start_thread(void* (*function)(void*), void* argument, void* pc);
  void join_thread(int ident, void* pc);
  void detach_thread(int ident);
  /// A small number that no other living thread has; free again when it has been joined.
  int ident_of(int number) const noexcept { return threads_[number].ident; }
  void call_at_thread_end(void (*ended)(void*), void* argument);
  int current() const noexcept { return current_; }
  int first_thread() const noexcept { return first_thread_; }
  int forks() const noexcept { return forks_; }
  void* map_for_ever(std::size_t bytes) { return space_.allocate_for_ever(bytes); }
  void call_at_fork(void (*before)(), void (*in_parent)(), void (*in_child)());

  // --- For rows

  /// The run is wrong. Does not return.
  [[noreturn]] void fail(const char* what);
  /// A moment at which others may come in, where nothing else is one.
  void step(void* pc);
  /// True in the child: the other threads are gone. False in the parent. Both are explored.
  bool fork(void* pc);
  /// The calling thread tells the system that it ends, when its function returns.
  void end_as_threads_do() noexcept { threads_[current_].ends = true; }
  /// The handler that runs now has ended a sleep in the kernel.
  bool ended_a_sleep() const noexcept { return ended_a_sleep_; }
  /// Chooses one of `options` freely.
  int any_of(int options);
  void name(const void* object, const char* name) { trace.name(object, name); }

  // StaleReads
  bool may_be_stale() const noexcept override { return left_.stale > 0; }
  int which(int options) override;

 private:
  enum class Mode : std::uint8_t { outside, alone, exploring };
  enum class State : std::uint8_t { unborn, ready, asleep, joining, done, gone };

  struct Thread {
    Fiber fiber;
    State state;
    void* this_thread;            // lot::this_thread
    std::uint64_t exceptions[2];  // the C++ runtime's: what is being thrown and caught
    void* (*start)(void*);
    void* argument;
    void (*at_end)(void*);
    void* at_end_argument;
    bool ends;  // runs at_end when its function returns
    bool detached;
    bool reaped;  // joined: its ident is free again
    int ident;
    std::uintptr_t sleeps_on;
    std::int64_t until;
    std::uint32_t place;  // among the sleepers, by when they came
    SleepEnd woken_by;
    std::uint64_t woken_in;  // that of whoever woke it; 0: nobody did
    int joins;
  };

  enum class Do : std::uint8_t { go_on, time_out, signal, spurious };
  struct Option {
    Do what;
    std::int8_t thread;
  };
  struct Options {
    Option of[4 * max_threads];
    int count = 0;
    void add(Do what, int thread) { of[count++] = {what, static_cast<std::int8_t>(thread)}; }
  };

  static void enter_thread();
  static void enter_director();
  void thread_main();
  /// Others may go on here. Something must happen after it, or be learned: two such moments without
  /// anything between them look like one that has been seen.
  void point(void* pc);
  void offer_others(Options& options) const;
  void switch_away();
  void take(Option option);
  void go_on_in(int number);
  void signal_here();
  int pick(const Options& options, bool current_can_go_on);
  bool been_here(bool current_can_go_on);
  void wake(Thread& thread, SleepEnd end);
  void check(const char* wrong, void* pc, std::uintptr_t address = 0);
  [[noreturn]] void leave(RunEnd end);
  void step_on();
  void direct_on_director(void (*work)());
  void record(Event::What what, void* pc, std::uintptr_t address = 0, std::uint64_t value = 0,
              std::uint64_t second = 0, unsigned size = 0, Order order = Order::relaxed);

  struct Queue {
    std::uintptr_t word;
    std::uint64_t history;
  };
  std::uint64_t& queue_of(std::uintptr_t word);
  int number_of(int ident);

  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();
  static constexpr int queue_limit = 64;
  static constexpr int step_limit = 4000;
  static constexpr int look_at_one_in = 4;
  static constexpr int access_limit = 1'000'000;  // plain ones, for loops that do nothing else
  static constexpr std::int64_t begin_of_time = 1'000'000'000;
  static constexpr std::int64_t jump = 1'000'000;

  Mode mode_ = Mode::outside;
  const Program* program_ = nullptr;
  Model model_ = Model::newest;
  Budget left_;
  Seen* seen_ = nullptr;
  Thread threads_[max_threads + 1];
  Fiber outside_;
  int current_ = 0;
  int prepared_ = 0;
  int started_ = 0;  // numbers below this have been used
  int first_thread_ = 0;
  int forks_ = 0;
  int steps_ = 0;
  int accesses_ = 0;
  bool ended_a_sleep_ = false;
  std::uint32_t begun_ = 0;  // a bit for each thread
  std::uint64_t last_look_ = 0;
  std::uint32_t sleeps_ = 0;
  std::int64_t now_ = begin_of_time;
  std::uint64_t kernel_history_ = 0;  // what threads do to each other through the kernel
  Queue queues_[queue_limit];
  int queue_count_ = 0;
  void (*before_fork_)() = nullptr;
  void (*in_parent_)() = nullptr;
  void (*in_child_)() = nullptr;
  void (*director_work_)() = nullptr;
  RunEnd end_ = RunEnd::complete;
  const char* failure_ = nullptr;
  // From `prepare`, what each run begins with.
  void* prepared_this_thread_[max_threads]{};
  void (*prepared_at_end_)(void*) = nullptr;
  void* prepared_at_end_argument_[max_threads]{};
};

/// The only one: hooks have no other way to it.
extern Machine machine;

}  // namespace explore
