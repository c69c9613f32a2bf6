#include <underthread/errors.h>
#include <underthread/lock.h>
#include <underthread/thread.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <vector>

#include "current_thread.h"
#include "due_limit.h"
#include "excepthook.h"
#include "interrupt_holder.h"
#include "latch.h"
#include "lot/fork.h"
#include "lot/parking_lot.h"
#include "lot/thread_record.h"
#include "os/exceptions.h"
#include "os/futex.h"
#include "os/native_thread.h"
#include "os/thread_limits.h"
#include "pending_interrupts.h"
#include "safe_point.h"

namespace underthread {
namespace {

constexpr std::size_t smallest_stack = 32'768;

/// What the end of a thread takes after it has told it, at the most as a rule; ns.
constexpr std::int64_t short_tail = 1'000'000;
/// How long at a time it is waited for then.
constexpr std::int64_t longest_pause = 8'000'000;

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
  bool reports_exception = true;
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
                        if (ended.start.reports_exception)
                          report_exception(ended.thrown, ended.start.name, get_ident());
                      }
                    },
                    &run);
  start.function.reset();
  return run.thrown;
}

lot::ThreadRecord& reserve() {
  // The parent first: what goes wrong for it must not go wrong in the new thread.
  current_thread();
  lot::NoRecord reason{};
  lot::ThreadRecord* const record = lot::reserve(&reason);
  if (!record) throw error(std::string("can't start new thread: ") + why_no_record(reason));
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

void ThreadFunction::refuse_empty() {
  throw std::invalid_argument("a thread's function must not be empty");
}

Ident start_new_thread(std::unique_ptr<ThreadFunction> function) {
  if (!function) ThreadFunction::refuse_empty();
  auto start = std::make_unique<Start>();
  start->function = std::move(function);
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
  AtScopeEnd at_scope_end = AtScopeEnd::interrupt_if_it_fails;
  std::stop_source stop{std::nostopstate};
  /// How many exceptions were unwinding the stack where it was made: in the same scope, more say
  /// that the scope fails.
  int uncaught = std::uncaught_exceptions();
  std::uint32_t forks = lot::fork_count.load(std::memory_order_relaxed);

  Latch begun;  ///< native_id is known
  std::uint64_t native_id = 0;
  Latch ended;  ///< all of the thread's own code has run; `thrown` is final
  std::exception_ptr thrown;
  /// Whoever joined has had it. relaxed: the last handle orders it.
  std::atomic<bool> was_thrown{false};

  State() = default;
  ~State() {
    // What nobody was told of. In the child of a fork it is the parent's.
    if (!thrown || start.reports_exception || was_thrown || is_older_than_process()) return;
    try {
      std::rethrow_exception(thrown);
    } catch (...) {
      report_exception(thrown, start.name, ident);
    }
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  static void* run_joinable(void* argument) {
    // The thread's share, which its record gives back at its very end.
    auto* share = static_cast<std::shared_ptr<State>*>(argument);
    State& state = **share;
    begin(state.start);
    lot::ThreadRecord& me = *state.start.record;
    me.handle = &state;
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
    const auto* const me = static_cast<const lot::ThreadRecord*>(lot::this_thread);
    return me && me->handle == this;
  }

  /// Waits for all of it: its own code, and `reap`.
  lot::WaitEnd join(lot::ThreadRecord& me, lot::Wait& wait) {
    if (is_lost()) return lot::WaitEnd::done;
    const lot::WaitEnd end = ended.wait(me, wait, holder);
    return end == lot::WaitEnd::done ? reap(me, wait) : end;
  }

  /// Once the thread is done: waits for the last steps that it takes by itself, so that its stack
  /// and its place in the system's limits are free again. They are a matter of microseconds, but
  /// for destructors of pthread keys that run after the thread has told its end.
  lot::WaitEnd reap(lot::ThreadRecord& me, lot::Wait& wait) {
    // What the system kept of it stayed with the parent; and `reaping_` may be held by a thread
    // that stayed there too.
    if (is_older_than_process()) return lot::WaitEnd::done;
    if (const lot::WaitEnd end = reaping_.acquire_waiting(Hold::scoped, wait);
        end != lot::WaitEnd::done)
      return end;
    const std::unique_lock only_one(reaping_, std::adopt_lock);
    if (reaped_) return lot::WaitEnd::done;
    // The system's wait ends at once when the thread is gone, but nothing else ends it.
    const std::int64_t left = wait.until - os::now();
    reaped_ = os::join_thread(ident, std::clamp<std::int64_t>(left, 0, short_tail));
    for (std::int64_t pause = short_tail; !reaped_; pause = std::min(2 * pause, longest_pause)) {
      reaped_ = os::join_thread(ident, 0);
      if (reaped_) break;
      const std::int64_t now = os::now();
      if (wait.until <= now) return lot::WaitEnd::timed_out;
      lot::Wait nap{.until = std::min(wait.until, now + pause), .wake_for = wait.wake_for};
      if (lot::pass_time(me, nap) == lot::WaitEnd::interrupted) return lot::WaitEnd::interrupted;
    }
    return lot::WaitEnd::done;
  }

  bool interrupt(std::exception_ptr exception) {
    if (!lot::is_alive(holder)) return false;
    // First, so that code which the interrupt ends finds it requested.
    if (stop.stop_possible() && is_system_exit(exception)) {
      is_interrupted_.store(true, std::memory_order_relaxed);
      stop.request_stop();
    }
    return interrupt_holder(holder, std::move(exception));
  }

  /// False: it was asked before.
  bool ask_once() noexcept { return !is_asked_.exchange(true, std::memory_order_relaxed); }

  /// From now on a stop that is requested, wherever, is an interrupt.
  void hear_of_stops() {
    if (!stop.stop_possible()) return;
    on_stop_.emplace(stop.get_token(), OnStop{this});
  }

  /// In a destructor: without memory for it, it is as if it had not come in time.
  void interrupt_and_forget() {
    try {
      interrupt(std::make_exception_ptr(SystemExit()));
    } catch (const std::bad_alloc&) {
    }
  }

  /// Waits until the thread has ended, come what may. What comes for the caller is passed on.
  void join_passing_on(lot::ThreadRecord& me) {
    const bool is_held = me.interrupts_held.load(std::memory_order_relaxed) > 0;
    lot::Wait wait{.wake_for = is_held ? lot::WakeFor::nothing : lot::WakeFor::interrupts};
    bool limit_is_over = is_held;
    std::vector<std::exception_ptr> taken;
    for (;;) {
      wait.until = limit_is_over ? lot::never : limit_until(me);
      const lot::WaitEnd end = join(me, wait);
      if (end == lot::WaitEnd::done) break;
      if (end == lot::WaitEnd::timed_out) {
        limit_is_over = true;
      } else if (std::exception_ptr sent = take_sent_interrupt(me)) {
        taken.push_back(std::move(sent));
      } else {
        // A handler ran, and threw nothing.
        continue;
      }
      interrupt_and_forget();
    }
    while (!taken.empty()) {
      put_interrupt_back(me, std::move(taken.back()));
      taken.pop_back();
    }
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

  struct OnStop {
    State* state;
    void operator()() const {
      // The stop of an interrupt: the thread has that already.
      if (!state->is_interrupted_.load(std::memory_order_relaxed)) state->interrupt_and_forget();
    }
  };

  Lock reaping_;
  bool reaped_ = false;
  static bool is_system_exit(const std::exception_ptr& exception) {
    bool is = false;
    try {
      std::rethrow_exception(exception);
    } catch (const SystemExit&) {
      is = true;
    } catch (...) {
    }
    return is;
  }

  // relaxed: a flag on its own.
  std::atomic<bool> is_asked_{false};
  // relaxed: written before a stop is requested, which orders it, and read where that is heard of.
  std::atomic<bool> is_interrupted_{false};
  // The last member: it goes first, and waits for one that is under way.
  std::optional<std::stop_callback<OnStop>> on_stop_;
};

void Thread::start(ThreadOptions options, std::unique_ptr<ThreadFunction> function,
                   std::stop_source stop) {
  const std::size_t size =
      options.stack_size != 0 ? valid_stack_size(options.stack_size) : stack_size();
  auto state = std::make_shared<State>();
  state->start.function = std::move(function);
  state->start.name = std::move(options.name);
  state->start.reports_exception = options.reports_exception;
  state->at_scope_end = options.at_scope_end;
  state->stop = std::move(stop);
  auto share = std::make_unique<std::shared_ptr<State>>(state);
  lot::ThreadRecord& record = reserve();
  state->start.record = &record;
  state->holder = record.holder;
  state->hear_of_stops();
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
  if (state_->at_scope_end == AtScopeEnd::detach) {
    state_->let_go();
    return;
  }
  if (state_->at_scope_end == AtScopeEnd::interrupt ||
      (state_->at_scope_end == AtScopeEnd::interrupt_if_it_fails &&
       std::uncaught_exceptions() > state_->uncaught))
    state_->interrupt_and_forget();
  state_->join_passing_on(current_thread());
}

void Thread::join() const {
  join(Timeout(-1));
}

bool Thread::join(Timeout timeout) const {
  State& joined = state();
  const std::int64_t until = timeout.deadline();
  if (joined.is_self()) throw error("cannot join current thread");
  const bool done = wait_at_safe_point(
      until, [&](lot::ThreadRecord& me, lot::Wait& wait) { return joined.join(me, wait); });
  if (!done) return false;
  if (joined.thrown && !joined.is_lost()) {
    joined.was_thrown.store(true, std::memory_order_relaxed);
    std::rethrow_exception(joined.thrown);
  }
  return true;
}

lot::WaitEnd Thread::join_waiting(lot::Wait& wait) const {
  State& joined = state();
  if (joined.is_self()) throw error("cannot join current thread");
  return joined.join(current_thread(), wait);
}

bool Thread::interrupt() const {
  return interrupt(std::make_exception_ptr(SystemExit()));
}

bool Thread::interrupt(std::exception_ptr exception) const {
  State& interrupted = state();
  if (!exception) throw std::invalid_argument("no exception to interrupt with");
  return interrupted.interrupt(std::move(exception));
}

std::stop_source Thread::get_stop_source() const {
  return state().stop;
}

bool Thread::ask_to_stop() const {
  State& stopped = state();
  return !stopped.is_done() && stopped.ask_once();
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
