#include <underthread/errors.h>
#include <underthread/lock.h>
#include <underthread/thread.h>

#include <atomic>
#include <cstdio>
#include <mutex>
#include <stdexcept>

#include "current_thread.h"
#include "excepthook.h"
#include "latch.h"
#include "lot/fork.h"
#include "lot/thread_record.h"
#include "os/exceptions.h"
#include "os/native_thread.h"
#include "os/thread_limits.h"
#include "safe_point.h"

namespace underthread {
namespace {

constexpr std::size_t smallest_stack = 32'768;

// relaxed: a number on its own.
constinit std::atomic<std::size_t> stack_size_setting{0};

/// Rounded up to whole pages. @throws std::invalid_argument
std::size_t valid_stack_size(std::size_t size) {
  if (size == 0) return 0;
  const std::size_t page = os::page_size();
  const std::size_t rounded = (size + page - 1) / page * page;
  if (size < smallest_stack || rounded < size)
    throw std::invalid_argument("size not valid: " + std::to_string(size) + " bytes");
  return rounded;
}

/// A thread to be: all that it takes with it. Owned by whoever starts it, then by the thread.
struct Start {
  std::unique_ptr<ThreadFunction> function;
  std::string name;
  lot::ThreadRecord* record = nullptr;
};

/// In the new thread: becomes known to the process.
void begin(const Start& start) {
  lot::adopt(*start.record);
  if (start.name.empty()) return;
  lot::set_name(*start.record, start.name);
  os::set_thread_name(start.name.c_str());
}

/// Runs the function and lets its copies go. What it threw, or null; SystemExit is nothing.
std::exception_ptr run(Start& start) {
  struct Run {
    Start& start;
    std::exception_ptr thrown;
  } run{start, nullptr};
  os::run_contained([](void* argument) { static_cast<Run*>(argument)->start.function->run(); },
                    [](void* argument) {
                      auto& ended = *static_cast<Run*>(argument);
                      try {
                        throw;
                      } catch (const SystemExit&) {
                      } catch (...) {
                        ended.thrown = std::current_exception();
                        report_exception(ended.thrown, ended.start.name);
                      }
                    },
                    &run);
  start.function.reset();
  return run.thrown;
}

lot::ThreadRecord& reserve() {
  // The parent first: what goes wrong for it must not go wrong in the new thread.
  current_thread();
  lot::ThreadRecord* record = lot::reserve();
  if (!record) throw error("can't start new thread: too many threads: no record for one more");
  return *record;
}

/// Starts `enter(argument)` for a reserved record, which it cancels if that fails.
Ident start_reserved(lot::ThreadRecord& record, void* (*enter)(void*), void* argument,
                     std::size_t size, bool joinable) {
  const std::uint32_t holder = record.holder;
  Ident ident = 0;
  const int refused = os::start_thread(enter, argument, size, joinable, ident);
  if (refused != 0) {
    lot::cancel(record);
    throw error("can't start new thread: " + os::why_no_thread(refused, size));
  }
  lot::announce(record, holder, ident);
  return ident;
}

// Not noexcept, and nothing caught, here and in `run_joinable`: the system ends threads by
// unwinding them (pthread_exit, pthread_cancel), and CPython uses that.
void* run_detached(void* argument) {
  const std::unique_ptr<Start> start(static_cast<Start*>(argument));
  begin(*start);
  run(*start);
  return nullptr;
}

}  // namespace

Ident start_new_thread(std::unique_ptr<ThreadFunction> function) {
  auto start = std::make_unique<Start>(Start{std::move(function), {}, nullptr});
  lot::ThreadRecord& record = reserve();
  start->record = &record;
  const Ident ident = start_reserved(record, run_detached, start.get(), stack_size(), false);
  start.release();
  return ident;
}

/// What a Thread and its thread share; each holds it by a shared_ptr.
class Thread::State {
 public:
  Start start;
  Ident ident = 0;
  std::uint32_t holder = 0;
  std::uint32_t forks = lot::fork_count.load(std::memory_order_relaxed);

  Latch begun;  ///< native_id is known
  std::uint64_t native_id = 0;
  Latch ended;  ///< all of the thread's own code has run; `thrown` is final
  std::exception_ptr thrown;

  static void* run_joinable(void* argument) {
    // The thread's share, which its record gives back at its very end.
    auto* share = static_cast<std::shared_ptr<State>*>(argument);
    State& state = **share;
    begin(state.start);
    lot::ThreadRecord& me = *state.start.record;
    me.at_end_argument = share;
    me.at_end = at_end;
    state.native_id = me.native_id.load(std::memory_order_relaxed);
    state.begun.set();
    state.thrown = run(state.start);
    return nullptr;
  }

  bool is_done() const noexcept { return ended.is_set() || is_lost(); }

  /// True in the child of a fork that took the thread's life: it will never say that it has ended.
  bool is_lost() const noexcept {
    // `live` is cleared after `ended` is set, and read here before it.
    return is_older_than_process() && !lot::is_alive(holder) && !ended.is_set();
  }

  bool is_older_than_process() const noexcept {
    return forks != lot::fork_count.load(std::memory_order_relaxed);
  }

  bool is_self() const noexcept {
    const lot::ThreadHead* me = lot::this_thread;
    return me && me->holder == holder;
  }

  lot::WaitEnd wait_for_end(lot::ThreadRecord& me, lot::Wait& wait) noexcept {
    return is_lost() ? lot::WaitEnd::done : ended.wait(me, wait);
  }

  /// Once the thread is done: waits for the last steps that it takes by itself, so that its stack
  /// and its place in the system's limits are free again.
  void reap() {
    // What the system kept of it stayed with the parent; and `reaping_` may be held by a thread
    // that stayed there too.
    if (is_older_than_process()) return;
    const std::scoped_lock only_one(reaping_);
    if (reaped_) return;
    os::join_thread(ident);
    reaped_ = true;
  }

  /// Instead of `reap`, where nobody waits for it: its stack goes when it does.
  void let_go() {
    if (is_older_than_process()) return;
    const std::scoped_lock only_one(reaping_);
    if (reaped_) return;
    os::detach_thread(ident);
    reaped_ = true;
  }

 private:
  static void at_end(void* argument) {
    const std::unique_ptr<std::shared_ptr<State>> share(
        static_cast<std::shared_ptr<State>*>(argument));
    (*share)->ended.set();
  }

  Lock reaping_;
  bool reaped_ = false;
};

void Thread::start(ThreadOptions options, std::unique_ptr<ThreadFunction> function) {
  const std::size_t size =
      options.stack_size != 0 ? valid_stack_size(options.stack_size) : stack_size();
  auto state = std::make_shared<State>();
  state->start.function = std::move(function);
  state->start.name = std::move(options.name);
  auto share = std::make_unique<std::shared_ptr<State>>(state);
  lot::ThreadRecord& record = reserve();
  state->start.record = &record;
  state->holder = record.holder;
  state->ident = start_reserved(record, State::run_joinable, share.get(), size, true);
  share.release();
  state_ = std::move(state);
}

Thread& Thread::operator=(Thread&& other) {
  if (this != &other) {
    Thread old;
    old.state_ = std::exchange(state_, std::move(other.state_));
  }
  return *this;
}

Thread::~Thread() {
  if (!state_) return;
  if (state_->is_self()) {
    state_->let_go();
    return;
  }
  lot::Wait uninterrupted;
  state_->wait_for_end(current_thread(), uninterrupted);
  state_->reap();
}

void Thread::join() const {
  join(Timeout(-1));
}

bool Thread::join(Timeout timeout) const {
  State& joined = state();
  const std::int64_t until = timeout.deadline();
  if (joined.is_self()) throw error("cannot join current thread");
  const bool done = wait_at_safe_point(
      until, [&](lot::ThreadRecord& me, lot::Wait& wait) { return joined.wait_for_end(me, wait); });
  if (!done) return false;
  joined.reap();
  if (joined.thrown && !joined.is_lost()) std::rethrow_exception(joined.thrown);
  return true;
}

lot::WaitEnd Thread::join(lot::Wait& wait) const {
  State& joined = state();
  if (joined.is_self()) throw error("cannot join current thread");
  const lot::WaitEnd end = joined.wait_for_end(current_thread(), wait);
  if (end == lot::WaitEnd::done) joined.reap();
  return end;
}

void Thread::detach() {
  state().let_go();
  state_.reset();
}

bool Thread::is_done() const {
  return state().is_done();
}

Ident Thread::ident() const {
  return state().ident;
}

std::uint64_t Thread::native_id() const {
  State& named = state();
  lot::Wait uninterrupted;
  if (!named.is_lost()) named.begun.wait(current_thread(), uninterrupted);
  return named.native_id;
}

const std::string& Thread::name() const {
  return state().start.name;
}

Thread::State& Thread::state() const {
  if (!state_) throw error("thread not started");
  return *state_;
}

void exit() {
  throw SystemExit();
}

std::size_t stack_size() noexcept {
  return stack_size_setting.load(std::memory_order_relaxed);
}

std::size_t stack_size(std::size_t size) {
  return stack_size_setting.exchange(valid_stack_size(size), std::memory_order_relaxed);
}

}  // namespace underthread
