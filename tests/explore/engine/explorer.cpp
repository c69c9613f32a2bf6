#include "engine/explorer.h"

#include <algorithm>
#include <chrono>

#include "engine/machine.h"
#include "engine/symbols.h"
#include "rows/in_place.h"

namespace explore {
namespace {

const RowInfo* current_row = nullptr;
Row* row = nullptr;

void begin() {
  row = current_row->make();
}

void end() {
  row->at_end();
  require_nothing_left();
}

void run_thread(int number) {
  row->thread(number);
}

void run_handler(int number) {
  row->on_signal(number);
}

Program program_of(const RowInfo& info) {
  return {info.threads, run_thread, run_handler, info.time_outs_are_needed, info.in_turn};
}

Budget budget_of(const RowInfo& info, const Settings& settings) {
  const auto small = [](int value) {
    return static_cast<std::uint8_t>(std::min(value, Budget::limit));
  };
  Budget budget;
  int bound = settings.bound;
  if (settings.spares_large_rows) {
    bound = std::min(bound, info.bound);
    if (settings.stale > 0) bound = std::min(bound, info.stale_bound);
  }
  budget.preemptions = small(bound);
  budget.stale = small(settings.stale);
  budget.weak = small(settings.weak);
  budget.time_outs = small(info.may.time_outs);
  budget.jumps = small(info.may.jumps);
  budget.signals = small(info.may.signals);
  budget.spurious = small(info.may.spurious);
  budget.refusals = small(info.may.refusals);
  return budget;
}

// Statics of the library that differ from what the run began with: a bucket that is not empty, a
// mutex left locked, a bit left set. When the last hand-offs were may be another.
std::string left_behind(const RowInfo& info) {
  std::string found;
  machine.space().for_each_changed_global([&](std::uintptr_t address) {
    const std::string object = object_at(address);
    if (!found.empty() || object.find("underthread::") == std::string::npos ||
        object.find("handed_over_at") != std::string::npos)
      return;
    if (info.changes_process && object.find("lot::settings") == std::string::npos &&
        object.find("buckets") == std::string::npos)
      return;
    found = "left behind: " + object;
  });
  return found;
}

/// A run, and what is wrong with it or "".
RunEnd run_once(const RowInfo& info, const Settings& settings, Seen* seen, std::string& failure) {
  current_row = &info;
  const Program program = program_of(info);
  RunEnd end_of_run =
      machine.run(program, settings.model, budget_of(info, settings), seen, begin, end);
  failure.clear();
  if (end_of_run == RunEnd::failed) failure = machine.failure();
  if (end_of_run == RunEnd::complete) {
    failure = left_behind(info);
    if (!failure.empty()) end_of_run = RunEnd::failed;
  }
  machine.put_back();
  return end_of_run;
}

}  // namespace

void prepare_rows() {
  machine.prepare(threads_in_place, prepare_thread);
}

Verdict explore_row(const RowInfo& info, const Settings& settings) {
  Verdict verdict;
  Seen seen;
  const auto start = std::chrono::steady_clock::now();
  const auto passed = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  machine.choices.forget();
  machine.trace.keep(false);
  machine.memory.follow_seq_cst(false);
  bool follows_seq_cst = false;
  for (;;) {
    const RunEnd end_of_run =
        run_once(info, settings, settings.skip_seen ? &seen : nullptr, verdict.failure);
    if (settings.model == Model::cpp && !follows_seq_cst && machine.memory.saw_seq_cst()) {
      // It takes more to follow, from the beginning.
      follows_seq_cst = true;
      machine.memory.follow_seq_cst(true);
      machine.choices.forget();
      seen.forget();
      verdict = {};
      if (settings.histories) settings.histories->clear();
      continue;
    }
    ++(end_of_run == RunEnd::cut ? verdict.cut : verdict.runs);
    if (end_of_run == RunEnd::failed) {
      verdict.seed = machine.choices.seed();
      break;
    }
    if (end_of_run == RunEnd::complete && settings.histories)
      settings.histories->insert(machine.memory.history());
    if (!machine.choices.next_way()) {
      verdict.complete = true;
      break;
    }
    if (settings.seconds > 0 && (verdict.runs + verdict.cut) % 256 == 0 &&
        passed() > settings.seconds)
      break;
  }
  verdict.seconds = passed();
  return verdict;
}

Verdict replay_row(const RowInfo& info, const Settings& settings, const std::string& seed,
                   std::string& trace) {
  Verdict verdict;
  if (!machine.choices.follow(seed)) {
    verdict.failure = "that is no seed: " + seed;
    return verdict;
  }
  machine.trace.keep(true);
  run_once(info, settings, nullptr, verdict.failure);
  machine.trace.keep(false);
  verdict.runs = 1;
  verdict.complete = verdict.failure.empty();
  verdict.seed = machine.choices.seed();
  trace = machine.trace.text(machine.space());
  return verdict;
}

// --- What rows ask for

void require(bool condition, const char* what) {
  if (!condition) machine.fail(what);
}

void step() {
  machine.step(__builtin_return_address(0));
}

int any_of(int options) {
  return machine.any_of(options);
}

bool fork_here() {
  return machine.fork(__builtin_return_address(0));
}

bool ended_a_sleep() {
  return machine.ended_a_sleep();
}

void end_as_threads_do() {
  machine.end_as_threads_do();
}

void name(const void* object, const char* name) {
  machine.name(object, name);
}

}  // namespace explore
