// The checker's own test: what it leaves out, it may leave out; and what it finds, it finds again.

#include <gtest/gtest.h>

#include <ostream>
#include <set>

#include "engine/explorer.h"
#include "rows/table.h"

namespace explore {
namespace {

struct Case {
  const char* row;
  int bound;
  int stale;
  friend void PrintTo(const Case& one, std::ostream* stream) { *stream << one.row; }
};

class CutTest : public testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() {
    static const bool prepared = (prepare_rows(), true);
    static_cast<void>(prepared);
  }
  static std::set<std::uint64_t> histories(bool skip_seen) {
    std::set<std::uint64_t> found;
    Settings settings;
    settings.bound = GetParam().bound;
    settings.stale = GetParam().stale;
    settings.model = settings.stale > 0 ? Model::cpp : Model::newest;
    settings.skip_seen = skip_seen;
    settings.histories = &found;
    const RowInfo* row = find_row(GetParam().row);
    if (!row) throw std::runtime_error("no such row");
    EXPECT_TRUE(explore_row(*row, settings).complete);
    return found;
  }
};

TEST_P(CutTest, LosesNoHistory) {
  const std::set<std::uint64_t> all = histories(false);
  EXPECT_GT(all.size(), 1u);
  EXPECT_EQ(histories(true), all);
}

INSTANTIATE_TEST_SUITE_P(
    , CutTest,
    testing::Values(Case{"lock-2", 1, 0}, Case{"lock-2", 2, 0}, Case{"lock-2", 3, 0},
                    Case{"lock-2", 4, 0}, Case{"lock-2", 3, 1}, Case{"lock-2x2", 3, 0},
                    Case{"lock-3", 2, 0}, Case{"lock-timed", 3, 0}, Case{"lock-timed", 2, 2},
                    Case{"lock-signals", 2, 0}, Case{"lock-spurious", 3, 0},
                    Case{"lock-two-releasers", 2, 0}, Case{"rlock-timed", 2, 1},
                    Case{"latch-timed", 2, 0}, Case{"join", 3, 0}, Case{"join-timed", 2, 1},
                    Case{"start-refused", 2, 0}, Case{"lot-unpark-all-2", 2, 0}),
    [](const auto& program) {
      std::string name = program.param.row;
      for (char& c : name)
        if (c == '-') c = '_';
      return name + "_bound_" + std::to_string(program.param.bound) + "_stale_" +
             std::to_string(program.param.stale);
    });

}  // namespace
}  // namespace explore
