// Explorer: all runs of a row.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "engine/memory.h"
#include "rows/row.h"

namespace explore {

struct Settings {
  int bound = 2;  ///< preemptions in a run, at most
  int stale = 0;  ///< stale reads in a run, at most
  int weak = 0;   ///< weak compare-and-swaps that fail for no reason, at most
  Model model = Model::newest;
  bool spares_large_rows = false;  ///< keeps to the bounds that rows have of their own
  double seconds = 0;              ///< stop after that long; 0: when all has been explored
  bool skip_seen = true;           ///< cut runs whose history has been explored from
  std::set<std::uint64_t>* histories = nullptr;  ///< filled with those of all complete runs
};

struct Verdict {
  std::uint64_t runs = 0;  ///< to their end
  std::uint64_t cut = 0;   ///< runs that came to where another had been
  double seconds = 0;
  bool complete = false;  ///< all runs within the bound, and none failed
  std::string failure;    ///< what was wrong; "": nothing
  std::string seed;       ///< of the run that failed
};

/// To be called once, before anything else here: makes the threads that rows find in place.
void prepare_rows();

Verdict explore_row(const RowInfo& row, const Settings& settings);

/// One run, as a seed has it. `trace`: what happened in it.
Verdict replay_row(const RowInfo& row, const Settings& settings, const std::string& seed,
                   std::string& trace);

}  // namespace explore
