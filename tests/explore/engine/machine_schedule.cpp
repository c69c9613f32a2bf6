// Who goes on, and with what.

#include "engine/machine.h"

namespace explore {

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

bool Machine::been_here(bool current_can_go_on) {
  std::uint64_t key =
      mix(memory.history(), static_cast<std::uint64_t>(current_) << 1 | current_can_go_on);
  key = mix(key, static_cast<std::uint64_t>(now_));
  // What a thread has written plainly before its first event is in no history, and a fork copies
  // it.
  key = mix(key, begun_);
  if (key == last_look_) fail("the checker: two moments to choose at, and nothing between them");
  last_look_ = key;
  return seen_->was_seen(key, left_);
}

int Machine::pick(const Options& options, bool current_can_go_on) {
  // Where there is no choice, a run may still have come to where another was. Not every such moment
  // is worth a look: which are, the history's length says, so that all look at the same ones.
  const bool look = options.count > 1 || memory.events() % look_at_one_in == 0;
  if (seen_ && look && !choices.replaying() && been_here(current_can_go_on)) leave(RunEnd::cut);
  return options.count > 1 ? choices.pick(options.count) : 0;
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

}  // namespace explore
