// The checker's own test: what it leaves out, it may leave out; and what it finds, it finds again.

#include <gtest/gtest.h>

#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "engine/explorer.h"
#include "engine/symbols.h"
#include "rows/in_place.h"
#include "rows/table.h"

// The linker's: where the program's own writable data begins and ends.
extern "C" char __data_start;
extern "C" char _end;

namespace explore {
namespace {

void prepare_once() {
  static const bool prepared = (prepare_rows(), true);
  static_cast<void>(prepared);
}

struct Case {
  const char* row;
  int bound;
  int stale;
  friend void PrintTo(const Case& one, std::ostream* stream) { *stream << one.row; }
};

class CutTest : public testing::TestWithParam<Case> {
 protected:
  static void SetUpTestSuite() { prepare_once(); }
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

// The library's statics and its threads' records, as bytes.
class LibrarysMemory {
 public:
  LibrarysMemory() : statics_(&__data_start, &_end) {
    for (int i = 0; i < threads_in_place; ++i) {
      const auto* record = reinterpret_cast<const char*>(&record_of_thread(i));
      records_.insert(records_.end(), record, record + sizeof record_of_thread(i));
    }
  }
  /// Where this differs from `other`; "": nowhere.
  std::string difference(const LibrarysMemory& other) const {
    for (std::size_t i = 0; i < statics_.size(); ++i) {
      if (statics_[i] == other.statics_[i]) continue;
      const std::string object = object_at(reinterpret_cast<std::uintptr_t>(&__data_start) + i);
      if (object.find("underthread::") != std::string::npos) return object;
    }
    return records_ == other.records_ ? "" : "a record";
  }

 private:
  std::vector<char> statics_;
  std::vector<char> records_;
};

// A write that the engine was not told of stays for the next run, which then goes other ways.
TEST(RunTest, IsPutBackToTheLastByte) {
  prepare_once();
  for (const std::span<const RowInfo> table : row_tables()) {
    for (const RowInfo& row : table) {
      const LibrarysMemory before;
      Settings settings;
      settings.bound = 0;
      explore_row(row, settings);
      EXPECT_EQ(LibrarysMemory().difference(before), "") << row.name;
    }
  }
}

}  // namespace
}  // namespace explore
