// The checker's own test: its memory does what C++20 and x86 allow, all of it and nothing else.

#include <gtest/gtest.h>

#include <ostream>
#include <set>

#include "engine/explorer.h"
#include "litmus/programs.h"
#include "rows/table.h"

namespace explore {
namespace {

std::uint64_t seen_outcomes = 0;

class LitmusTest : public testing::TestWithParam<Litmus> {
 protected:
  static void SetUpTestSuite() {
    static const bool prepared = (prepare_rows(), true);
    static_cast<void>(prepared);
  }
  static std::uint64_t outcomes(Model model, int stale, bool skip_seen = true) {
    seen_outcomes = 0;
    Settings settings;
    settings.bound = 200;
    settings.stale = stale;
    settings.weak = model == Model::cpp ? 1 : 0;
    settings.model = model;
    settings.skip_seen = skip_seen;
    const Verdict verdict = explore_row(GetParam().row, settings);
    EXPECT_TRUE(verdict.complete) << verdict.failure;
    return seen_outcomes;
  }
};

TEST_P(LitmusTest, CppGivesWhatTheStandardAllows) {
  EXPECT_EQ(outcomes(Model::cpp, 4), GetParam().cpp);
}

TEST_P(LitmusTest, X86GivesWhatItsBuffersAllow) {
  EXPECT_EQ(outcomes(Model::x86, 4), GetParam().x86);
}

TEST_P(LitmusTest, NewestGivesNoMoreThanX86) {
  EXPECT_EQ(outcomes(Model::newest, 0) & ~GetParam().x86, 0u);
}

TEST_P(LitmusTest, CuttingRunsLosesNoOutcome) {
  EXPECT_EQ(outcomes(Model::cpp, 4, false), outcomes(Model::cpp, 4));
}

INSTANTIATE_TEST_SUITE_P(, LitmusTest, testing::ValuesIn(litmus_programs()),
                         [](const auto& program) { return std::string(program.param.row.name); });

}  // namespace

void outcome(unsigned number) {
  seen_outcomes |= std::uint64_t{1} << number;
}

// What a failing test prints of its program.
void PrintTo(const Litmus& litmus, std::ostream* stream) {
  *stream << litmus.row.name;
}

}  // namespace explore
