// What threads ask of the system: to sleep and be woken, the time, other threads, a fork.

#include "engine/machine.h"

namespace explore {

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

int Machine::start_thread(void* (*function)(void*), void* argument, void* pc) {
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
  memory.learn(current_, 0x666F726B);
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

}  // namespace explore
