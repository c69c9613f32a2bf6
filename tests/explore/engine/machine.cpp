#include "engine/machine.h"

#include <underthread/lot/thread_head.h>

#include <cxxabi.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <limits>

namespace explore {
namespace {

constexpr std::size_t header = 64;
constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

underthread::lot::ThreadHead*& this_thread() {
  return underthread::lot::this_thread;
}

// What the C++ runtime keeps for each thread: two words (the ABI's __cxa_eh_globals).
constexpr std::size_t exceptions_size = 2 * sizeof(std::uint64_t);
void save_exceptions(std::uint64_t (&to)[2]) {
  std::memcpy(to, abi::__cxa_get_globals(), exceptions_size);
}
void load_exceptions(const std::uint64_t (&from)[2]) {
  std::memcpy(static_cast<void*>(abi::__cxa_get_globals()), from, exceptions_size);
}

std::uint64_t raw(std::uintptr_t address, unsigned size) {
  std::uint64_t value = 0;
  std::memcpy(&value, reinterpret_cast<const void*>(address), size);
  return value;
}

}  // namespace

Machine machine;

Machine::Machine() : memory(space_, *this) {
  // A run that goes wild is a failed run, and what it did can be seen again. The handler never
  // returns; what it leaves is forgotten with the run.
  stack_t stack{};
  stack.ss_size = 64 << 10;
  stack.ss_sp = map_table(stack.ss_size);
  sigaltstack(&stack, nullptr);
  struct sigaction action {};
  action.sa_handler = [](int signum) {
    if (machine.mode_ == Mode::outside) {
      ::signal(signum, SIG_DFL);
      raise(signum);
      return;
    }
    machine.fail("touches memory that is not there");
  };
  std::set_terminate([] {
    if (machine.mode_ == Mode::outside) std::abort();
    machine.fail("the process would be terminated: an exception that nobody may throw there");
  });
  action.sa_flags = SA_ONSTACK | SA_NODEFER;
  for (const int signum : {SIGSEGV, SIGBUS, SIGFPE, SIGILL}) sigaction(signum, &action, nullptr);
}

// --- Fibers

void Machine::enter_thread() {
  machine.thread_main();
}

void Machine::enter_director() {
  machine.director_work_();
  machine.leave(RunEnd::complete);
}

void Machine::thread_main() {
  Thread& me = threads_[current_];
  try {
    if (me.start)
      me.start(me.argument);
    else
      program_->thread(current_);
    if (me.ends && me.at_end) me.at_end(me.at_end_argument);
  } catch (...) {
    fail("an exception left its thread");
  }
  record(Event::What::end, nullptr);
  me.state = State::done;
  memory.touch(current_, kernel_history_);
  switch_away();
  std::abort();
}

void Machine::go_on_in(int number) {
  Thread& from = threads_[current_];
  if (number == current_) return;
  from.this_thread = this_thread();
  save_exceptions(from.exceptions);
  Thread& to = threads_[number];
  current_ = number;
  this_thread() = static_cast<underthread::lot::ThreadHead*>(to.this_thread);
  load_exceptions(to.exceptions);
  Fiber::change(from.fiber, to.fiber);
}

void Machine::leave(RunEnd end) {
  end_ = end;
  Thread& from = threads_[current_];
  from.this_thread = this_thread();
  Fiber unused;
  Fiber::change(unused, outside_);
  std::abort();
}

void Machine::direct_on_director(void (*work)()) {
  director_work_ = work;
  Thread& stands_for = threads_[0];
  current_ = 0;
  this_thread() = static_cast<underthread::lot::ThreadHead*>(stands_for.this_thread);
  Fiber fiber;
  fiber.prepare(space_.stack(director), AddressSpace::stack_size, enter_director);
  Fiber::change(outside_, fiber);
}

void Machine::prepare(int threads, void (*make_known)(int)) {
  started_ = prepared_ = threads;
  for (int i = 0; i < threads; ++i) {
    current_ = i;
    this_thread() = nullptr;
    threads_[i] = {};
    threads_[i].ident = i;
    make_known(i);
    prepared_this_thread_[i] = this_thread();
    prepared_at_end_ = threads_[i].at_end;
    prepared_at_end_argument_[i] = threads_[i].at_end_argument;
  }
  this_thread() = nullptr;
}

RunEnd Machine::run(const Program& program, Model model, const Budget& budget, Seen* seen,
                    void (*begin)(), void (*end)()) {
  std::uint64_t own_exceptions[2];
  save_exceptions(own_exceptions);
  space_.begin_run();
  memory.begin_run(model);
  trace.begin_run();
  choices.rewind();
  program_ = &program;
  model_ = model;
  left_ = budget;
  seen_ = seen;
  started_ = program.threads;
  first_thread_ = forks_ = steps_ = accesses_ = 0;
  sleeps_ = 0;
  now_ = begin_of_time;
  kernel_history_ = 0;
  queue_count_ = 0;
  ended_a_sleep_ = false;
  failure_ = nullptr;
  for (int i = 0; i < max_threads; ++i) {
    Thread& thread = threads_[i];
    thread.state = i < program.threads ? State::ready : State::unborn;
    thread.this_thread = i < program.threads ? prepared_this_thread_[i] : nullptr;
    thread.exceptions[0] = thread.exceptions[1] = 0;
    thread.start = nullptr;
    thread.at_end = prepared_at_end_;
    thread.at_end_argument = prepared_at_end_argument_[i];
    thread.ends = thread.reaped = thread.detached = false;
    thread.ident = i;
  }

  mode_ = Mode::alone;
  direct_on_director(begin);
  if (end_ == RunEnd::complete) {
    mode_ = Mode::exploring;
    Options options;
    for (int i = 0; i < program.threads; ++i) {
      threads_[i].fiber.prepare(space_.stack(i), AddressSpace::stack_size, enter_thread);
      options.add(Do::go_on, i);
    }
    const bool any = options.count > 1 && !program.in_turn;
    current_ = options.of[any ? choices.pick(options.count) : 0].thread;
    this_thread() = static_cast<underthread::lot::ThreadHead*>(threads_[current_].this_thread);
    load_exceptions(threads_[current_].exceptions);
    Fiber::change(outside_, threads_[current_].fiber);
  }
  load_exceptions(own_exceptions);
  if (end_ == RunEnd::complete) {
    mode_ = Mode::alone;
    direct_on_director(end);
  }
  if (choices.diverged()) {
    failure_ = "the run did not go as it had gone before: something in it is not deterministic";
    end_ = RunEnd::failed;
  }
  mode_ = Mode::outside;
  this_thread() = nullptr;
  load_exceptions(own_exceptions);
  return end_;
}

// --- Who goes on

void Machine::offer_others(Options& options) const {
  for (int i = 0; i < started_; ++i) {
    const Thread& thread = threads_[i];
    if (i != current_ && thread.state == State::ready) options.add(Do::go_on, i);
    if (thread.state == State::joining && threads_[thread.joins].state == State::done)
      options.add(Do::go_on, i);
    if (thread.state != State::asleep) continue;
    if (thread.until != never && left_.time_outs > 0) options.add(Do::time_out, i);
    if (left_.signals > 0) options.add(Do::signal, i);
    if (left_.spurious > 0) options.add(Do::spurious, i);
  }
}

int Machine::pick(const Options& options, bool current_can_go_on) {
  if (options.count == 1) return 0;
  if (seen_ && !choices.replaying()) {
    std::uint64_t key =
        mix(memory.history(), static_cast<std::uint64_t>(current_) << 1 | current_can_go_on);
    key =
        mix(key, static_cast<std::uint64_t>(left_.stale) << 40 |
                     static_cast<std::uint64_t>(left_.weak) << 32 | left_.time_outs << 24 |
                     left_.jumps << 16 | left_.signals << 8 | left_.spurious << 4 | left_.refusals);
    key = mix(key, static_cast<std::uint64_t>(now_));
    if (seen_->was_seen(key, left_.preemptions)) leave(RunEnd::cut);
  }
  return choices.pick(options.count);
}

void Machine::step_on() {
  if (++steps_ > step_limit) fail("runs for ever");
}

void Machine::point(void* pc) {
  step_on();
  for (;;) {
    Options options;
    options.add(Do::go_on, current_);
    if (left_.preemptions > 0) offer_others(options);
    const int handler = options.count;
    if (left_.signals > 0) options.add(Do::signal, current_);
    const int picked = pick(options, true);
    if (picked == 0) return;
    if (picked == handler) {
      signal_here();
      continue;
    }
    --left_.preemptions;
    record(Event::What::preempted, pc);
    take(options.of[picked]);
    // Back again, and a signal may have come meanwhile.
    while (left_.signals > 0) {
      Options here;
      here.add(Do::go_on, current_);
      here.add(Do::signal, current_);
      if (pick(here, true) == 0) break;
      signal_here();
    }
    return;
  }
}

void Machine::switch_away() {
  Options options;
  offer_others(options);
  bool somebody = false;
  for (int i = 0; i < options.count; ++i) somebody |= options.of[i].what == Do::go_on;
  if (!somebody) {
    // Nobody can run: time passes, until the first deadline.
    std::int64_t first = never;
    bool everybody_is_done = true;
    for (int i = 0; i < started_; ++i) {
      if (threads_[i].state == State::asleep) first = std::min(first, threads_[i].until);
      everybody_is_done &= threads_[i].state == State::done || threads_[i].state == State::gone;
    }
    for (int i = program_->threads; everybody_is_done && i < started_; ++i)
      if (threads_[i].state == State::done && !threads_[i].reaped && !threads_[i].detached &&
          i != first_thread_)
        fail("left behind: a thread that was neither joined nor detached");
    if (everybody_is_done) leave(RunEnd::complete);
    if (first == never) fail("deadlock: all who are left sleep, and nothing will wake them");
    if (!program_->time_outs_are_needed)
      fail("a wake-up was lost: a thread sleeps until its time is up, and nobody is left to run");
    // Those of the budget are the same as these, and more.
    options.count = 0;
    for (int i = 0; i < started_; ++i) {
      const Thread& thread = threads_[i];
      if (thread.state != State::asleep) continue;
      if (thread.until == first) options.add(Do::time_out, i);
      if (left_.signals > 0) options.add(Do::signal, i);
      if (left_.spurious > 0) options.add(Do::spurious, i);
    }
    ++left_.time_outs;
  }
  if (program_->in_turn && somebody) {
    Options first;
    for (int i = 0; i < options.count && first.count == 0; ++i)
      if (options.of[i].what == Do::go_on) first.add(Do::go_on, options.of[i].thread);
    options = first;
  }
  const int picked = pick(options, false);
  const Option option = options.of[picked];
  if (!somebody && option.what != Do::time_out) --left_.time_outs;
  take(option);
}

void Machine::take(Option option) {
  Thread& thread = threads_[option.thread];
  switch (option.what) {
    case Do::go_on:
      if (thread.state == State::joining) thread.state = State::ready;
      break;
    case Do::time_out:
      --left_.time_outs;
      now_ = std::max(now_, thread.until);
      wake(thread, SleepEnd::timed_out);
      break;
    case Do::signal:
      --left_.signals;
      wake(thread, SleepEnd::signalled);
      break;
    case Do::spurious:
      --left_.spurious;
      wake(thread, SleepEnd::woken);
      break;
  }
  const int from = current_;
  // A thread that has just fallen asleep may be the one that goes on.
  if (option.thread != from) go_on_in(option.thread);
  record(Event::What::goes_on, nullptr);
}

void Machine::wake(Thread& thread, SleepEnd end) {
  thread.state = State::ready;
  thread.woken_by = end;
  thread.woken_in = 0;
}

void Machine::signal_here() {
  --left_.signals;
  memory.learn(current_, 0x736967);
  record(Event::What::signal, nullptr);
  program_->on_signal(current_);
  record(Event::What::signal_ends, nullptr);
}

// --- The kernel

std::uint64_t& Machine::queue_of(std::uintptr_t word) {
  for (int i = 0; i < queue_count_; ++i)
    if (queues_[i].word == word) return queues_[i].history;
  if (queue_count_ == queue_limit) fail("too many words to sleep on");
  queues_[queue_count_] = {word, mix(0x7175, word)};
  return queues_[queue_count_++].history;
}

SleepEnd Machine::futex_wait(std::uintptr_t word, std::uint32_t expected, std::int64_t until,
                             void* pc) {
  if (!exploring()) fail("a wait where nobody else runs: it would never end");
  point(pc);
  const std::uint64_t found = memory.kernel_reads(current_, word, sizeof expected);
  record(Event::What::futex_wait, pc, word, found, expected);
  if (found != expected) return SleepEnd::woken;
  if (until <= now_) return SleepEnd::timed_out;
  Thread& me = threads_[current_];
  me.state = State::asleep;
  me.sleeps_on = word;
  me.until = until;
  me.place = ++sleeps_;
  memory.touch(current_, queue_of(word));
  switch_away();
  memory.learn(current_, mix(me.woken_in, static_cast<std::uint64_t>(me.woken_by)));
  switch (me.woken_by) {
    case SleepEnd::woken:
      record(me.woken_in ? Event::What::futex_wakes : Event::What::spurious, pc, word);
      break;
    case SleepEnd::timed_out:
      record(Event::What::time_out, pc, word);
      break;
    case SleepEnd::signalled:
      record(Event::What::signal, pc, word);
      ended_a_sleep_ = true;
      program_->on_signal(current_);
      ended_a_sleep_ = false;
      record(Event::What::signal_ends, pc);
      break;
  }
  return me.woken_by;
}

void Machine::futex_wake_one(std::uintptr_t word, void* pc) {
  if (!exploring()) return;
  point(pc);
  memory.touch(current_, queue_of(word));
  for (;;) {
    Thread* first = nullptr;
    for (int i = 0; i < started_; ++i) {
      Thread& thread = threads_[i];
      if (thread.state == State::asleep && thread.sleeps_on == word &&
          (!first || thread.place < first->place))
        first = &thread;
    }
    record(first ? Event::What::futex_wake : Event::What::futex_nobody, pc, word,
           first ? static_cast<std::uint64_t>(first - threads_) : 0);
    if (!first) return;
    // It may be on its way out already for another reason; then the wake is for the next.
    SleepEnd ends[3] = {SleepEnd::woken};
    int count = 1;
    if (first->until != never && left_.time_outs > 0) ends[count++] = SleepEnd::timed_out;
    if (left_.signals > 0) ends[count++] = SleepEnd::signalled;
    const SleepEnd end = ends[count > 1 ? choices.pick(count) : 0];
    wake(*first, end);
    memory.learn(current_, static_cast<std::uint64_t>(end));
    if (end == SleepEnd::woken) {
      first->woken_in = memory.history_of(current_);
      return;
    }
    if (end == SleepEnd::timed_out) {
      --left_.time_outs;
      now_ = std::max(now_, first->until);
    } else {
      --left_.signals;
    }
  }
}

std::int64_t Machine::now(void* pc) {
  if (!exploring()) return now_;
  point(pc);
  if (left_.jumps > 0 && choices.pick(2) == 1) {
    --left_.jumps;
    now_ += jump;
    record(Event::What::jump, pc, 0, static_cast<std::uint64_t>(now_));
  } else {
    record(Event::What::clock, pc, 0, static_cast<std::uint64_t>(now_));
  }
  memory.learn(current_, static_cast<std::uint64_t>(now_));
  return now_;
}

void Machine::relax(void* pc) {
  if (!exploring()) return;
  point(pc);
  memory.learn(current_, 0x7370696E);
  record(Event::What::spin, pc);
}

bool Machine::may_refuse_thread(void* pc) {
  if (left_.refusals == 0) return false;
  point(pc);
  const bool refuses = choices.pick(2) == 1;
  memory.learn(current_, refuses);
  if (refuses) --left_.refusals;
  return refuses;
}

int Machine::start_thread(void (*function)(void*), void* argument, void* pc) {
  if (!exploring()) fail("a thread was started where nobody else may run");
  point(pc);
  if (started_ == max_threads) return -1;
  const int number = started_++;
  Thread& thread = threads_[number];
  thread.state = State::ready;
  thread.this_thread = nullptr;
  thread.exceptions[0] = thread.exceptions[1] = 0;
  thread.start = function;
  thread.argument = argument;
  thread.at_end = nullptr;
  thread.ends = true;
  thread.reaped = thread.detached = false;
  // As the system does: the first that is free again. Those of `prepare` never are.
  thread.ident = prepared_;
  for (bool taken = true; taken;) {
    taken = false;
    for (int i = 0; i < number; ++i)
      taken |= !threads_[i].reaped && threads_[i].ident == thread.ident;
    if (taken) ++thread.ident;
  }
  thread.fiber.prepare(space_.stack(number), AddressSpace::stack_size, enter_thread);
  memory.touch(current_, kernel_history_);
  memory.order(current_, number);
  record(Event::What::start, pc, 0, static_cast<std::uint64_t>(number));
  return number;
}

void Machine::join_thread(int ident, void* pc) {
  point(pc);
  const int number = number_of(ident);
  if (threads_[number].state == State::gone) fail("joins a thread that did not survive the fork");
  Thread& me = threads_[current_];
  if (threads_[number].state != State::done) {
    me.state = State::joining;
    me.joins = number;
    switch_away();
  }
  memory.order(number, current_);
  memory.touch(current_, kernel_history_);
  threads_[number].reaped = true;
  record(Event::What::join, pc, 0, static_cast<std::uint64_t>(number));
}

void Machine::detach_thread(int ident) {
  // Its ident is free again when it has ended; here: not again in this run.
  threads_[number_of(ident)].detached = true;
}

int Machine::number_of(int ident) {
  for (int i = 0; i < started_; ++i)
    if (threads_[i].ident == ident && !threads_[i].reaped && !threads_[i].detached) return i;
  fail("a thread was joined or detached twice, or never was");
}

void Machine::call_at_thread_end(void (*ended)(void*), void* argument) {
  threads_[current_].at_end = ended;
  threads_[current_].at_end_argument = argument;
}

void Machine::call_at_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) {
  before_fork_ = before;
  in_parent_ = in_parent;
  in_child_ = in_child;
}

bool Machine::fork(void* pc) {
  point(pc);
  if (before_fork_) before_fork_();
  point(pc);
  const bool child = choices.pick(2) == 0;
  memory.learn(current_, child);
  record(Event::What::fork, pc, 0, child);
  if (!child) {
    if (in_parent_) in_parent_();
    return false;
  }
  for (int i = 0; i < started_; ++i) {
    if (i == current_) continue;
    // The child's memory is a copy of this moment: of all that they had done.
    memory.order(i, current_);
    threads_[i].state = State::gone;
  }
  ++forks_;
  first_thread_ = current_;
  if (in_child_) in_child_();
  return true;
}

// --- Rows

void Machine::fail(const char* what) {
  failure_ = what;
  if (mode_ == Mode::outside) {
    std::fprintf(stderr, "explore: %s\n", what);
    std::abort();
  }
  leave(RunEnd::failed);
}

void Machine::step(void* pc) {
  if (!exploring()) return;
  point(pc);
  memory.learn(current_, 0x73746570);
  record(Event::What::step, pc);
}

int Machine::any_of(int options) {
  if (mode_ == Mode::outside || options < 2) return 0;
  const int picked = choices.pick(options);
  memory.learn(current_, static_cast<std::uint64_t>(picked));
  return picked;
}

int Machine::which(int options) {
  const int picked = choices.pick(options);
  if (picked != 0) --left_.stale;
  return picked;
}

// --- Memory

void Machine::check(const char* wrong, void* pc, std::uintptr_t address) {
  if (!wrong) return;
  // Plain accesses are no events, but for the one that is wrong.
  if (address != 0) record(Event::What::touches, pc, address);
  fail(wrong);
}

std::uint64_t Machine::load(std::uintptr_t address, unsigned size, Order order, void* pc) {
  if (!exploring()) return raw(address, size);
  point(pc);
  const Memory::Done done = memory.load(current_, address, size, order);
  record(Event::What::load, pc, address, done.value, 0, size, order);
  check(done.wrong, pc);
  return done.value;
}

void Machine::store(std::uintptr_t address, unsigned size, Order order, std::uint64_t value,
                    void* pc) {
  if (!exploring()) {
    plain(address, size, true, pc);
    std::memcpy(reinterpret_cast<void*>(address), &value, size);
    return;
  }
  point(pc);
  const Memory::Done done = memory.store(current_, address, size, order, value);
  record(Event::What::store, pc, address, value, 0, size, order);
  check(done.wrong, pc);
}

std::uint64_t Machine::modify(std::uintptr_t address, unsigned size, Order order,
                              Memory::Change change, void* pc) {
  if (!exploring()) {
    plain(address, size, true, pc);
    const std::uint64_t old = raw(address, size);
    const std::uint64_t fresh = change(old);
    std::memcpy(reinterpret_cast<void*>(address), &fresh, size);
    return old;
  }
  point(pc);
  std::uint64_t fresh = 0;
  const Memory::Done done = memory.modify(current_, address, size, order, [&](std::uint64_t old) {
    fresh = change(old);
    return fresh;
  });
  record(Event::What::modify, pc, address, done.value, fresh, size, order);
  check(done.wrong, pc);
  return done.value;
}

bool Machine::compare_exchange(std::uintptr_t address, unsigned size, Order success, Order failure,
                               std::uint64_t& expected, std::uint64_t fresh, bool weak, void* pc) {
  if (!exploring()) {
    plain(address, size, true, pc);
    const std::uint64_t old = raw(address, size);
    const bool same = old == expected;
    if (same) std::memcpy(reinterpret_cast<void*>(address), &fresh, size);
    expected = old;
    return same;
  }
  point(pc);
  if (weak && left_.weak > 0 && raw(address, size) == expected && choices.pick(2) == 1) {
    --left_.weak;
    const Memory::Done done = memory.load(current_, address, size, failure);
    memory.learn(current_, 0x7765616B);
    record(Event::What::compare_fails, pc, address, done.value, fresh, size, failure);
    check(done.wrong, pc);
    // Having failed for no reason, it still reads what it was compared with.
    if (done.value == expected) return false;
    expected = done.value;
    return false;
  }
  const Memory::Done done =
      memory.compare_exchange(current_, address, size, success, failure, expected, fresh);
  record(done.stored ? Event::What::modify : Event::What::compare_fails, pc, address, done.value,
         fresh, size, done.stored ? success : failure);
  check(done.wrong, pc);
  expected = done.value;
  return done.stored;
}

void Machine::fence(Order order, void* pc) {
  if (!exploring()) return;
  point(pc);
  memory.fence(current_, order);
  record(Event::What::fence, pc, 0, 0, 0, 0, order);
}

void Machine::plain(std::uintptr_t address, std::size_t size, bool is_write, void* pc) {
  if (mode_ == Mode::outside || size == 0) return;
  if (mode_ == Mode::exploring && ++accesses_ > access_limit) check("runs for ever", pc);
  const std::ptrdiff_t index = space_.granule_of(address);
  if (index < 0) return;
  const int stack = space_.stack_of(address);
  if (stack >= 0) {
    if (mode_ == Mode::exploring && stack != current_)
      check("touches another thread's stack", pc, address);
    return;
  }
  if (is_write) {
    const auto last = static_cast<std::size_t>(space_.granule_of(address + size - 1));
    for (auto i = static_cast<std::size_t>(index); i <= last; ++i) space_.save(i);
  }
  if (mode_ == Mode::exploring) check(memory.plain(current_, address, size, is_write), pc, address);
}

void* Machine::allocate(std::size_t bytes) {
  if (mode_ == Mode::outside) return nullptr;
  // Its size stands before it, for `free`.
  void* start = space_.allocate(mode_ == Mode::alone ? director : current_, header + bytes);
  if (!start) fail("out of memory: a run may use 1 MiB for each thread");
  std::memcpy(start, &bytes, sizeof bytes);
  return static_cast<char*>(start) + header;
}

bool Machine::free(void* address) {
  const auto where = reinterpret_cast<std::uintptr_t>(address);
  if (!space_.is_heap(where)) return false;
  std::size_t bytes = 0;
  std::memcpy(&bytes, static_cast<char*>(address) - header, sizeof bytes);
  if (mode_ == Mode::exploring) check(memory.freed(current_, where, bytes), nullptr, where);
  return true;
}

void Machine::record(Event::What what, void* pc, std::uintptr_t address, std::uint64_t value,
                     std::uint64_t second, unsigned size, Order order) {
  if (trace.keeps())
    trace.add({what, static_cast<std::int8_t>(current_), static_cast<std::uint8_t>(size), order, pc,
               address, value, second});
}

}  // namespace explore
