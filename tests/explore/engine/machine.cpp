#include "engine/machine.h"

#include <underthread/lot/thread_head.h>

#include <cxxabi.h>
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

namespace explore {
namespace {

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
  begun_ |= std::uint32_t{1} << current_;
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
  for (int i = 0; i < started_; ++i)
    if (i != number && threads_[i].state < State::done && to.this_thread &&
        threads_[i].this_thread == to.this_thread)
      fail("two threads take themselves for the same");
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
  begun_ = sleeps_ = 0;
  last_look_ = 0;
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

void Machine::record(Event::What what, void* pc, std::uintptr_t address, std::uint64_t value,
                     std::uint64_t second, unsigned size, Order order) {
  if (trace.keeps())
    trace.add({what, static_cast<std::int8_t>(current_), static_cast<std::uint8_t>(size), order, pc,
               address, value, second});
}

}  // namespace explore
