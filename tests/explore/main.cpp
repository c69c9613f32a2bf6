// explore: runs the rows under every schedule up to a bound. See docs/trust.md.

#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "engine/explorer.h"
#include "rows/table.h"

namespace {

using explore::RowInfo;
using explore::Settings;
using explore::Verdict;

constexpr const char* usage =
    "usage: explore [--bound N] [--stale K] [--memory newest|x86|cpp] [--row NAME]... [--seconds "
    "S]\n"
    "               [--jobs N] [--fail-fast] [--every-run] [--no-times]\n"
    "               [--replay SEED] [--list]\n"
    "  --bound N     preemptions in a run, at most (2); none: no bound\n"
    "  --stale K     stale reads in a run, at most (0)\n"
    "  --weak K      weak compare-and-swaps that fail for no reason, at most (0)\n"
    "  --memory M    newest: all read the newest store (default without --stale)\n"
    "                x86: stores wait in buffers;  cpp: all that C++20 allows (default with "
    "--stale)\n"
    "  --row NAME    this row, and others so named; without: all of them, large ones to bounds of "
    "their own\n"
    "  --seconds S   stop each row after that long\n"
    "  --jobs N      rows at a time (1)\n"
    "  --fail-fast   stop at the first row that fails\n"
    "  --every-run   do not cut runs that come to where another has been\n"
    "  --no-times    print no seconds: what is left is the same for every machine and compiler\n"
    "  --replay SEED one run of one row, with its trace\n"
    "  --list        the rows\n";

[[noreturn]] void refuse(const std::string& why) {
  std::fprintf(stderr, "explore: %s\n%s", why.c_str(), usage);
  std::exit(2);
}

struct Arguments {
  Settings settings;
  std::vector<const RowInfo*> rows;
  int jobs = 1;
  bool fail_fast = false;
  bool times = true;
  std::string seed;
  bool replay = false;
};

Arguments parse(int argc, char** argv) {
  Arguments arguments;
  bool memory_was_said = false;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    const auto value = [&]() -> std::string {
      if (++i == argc) refuse(flag + " needs a value");
      return argv[i];
    };
    const auto number = [&](double most) {
      const std::string text = value();
      char* end = nullptr;
      const double found = std::strtod(text.c_str(), &end);
      if (text.empty() || *end || !(found >= 0 && found <= most)) refuse(flag + ": not " + text);
      return found;
    };
    if (flag == "--bound") {
      if (i + 1 < argc && std::strcmp(argv[i + 1], "none") == 0) {
        ++i;
        arguments.settings.bound = 200;
      } else {
        arguments.settings.bound = static_cast<int>(number(100));
      }
    } else if (flag == "--stale") {
      arguments.settings.stale = static_cast<int>(number(100));
    } else if (flag == "--memory") {
      const std::map<std::string, explore::Model> models{{"newest", explore::Model::newest},
                                                         {"x86", explore::Model::x86},
                                                         {"cpp", explore::Model::cpp}};
      const std::string name = value();
      if (!models.contains(name)) refuse("--memory: not " + name);
      arguments.settings.model = models.at(name);
      memory_was_said = true;
    } else if (flag == "--weak") {
      arguments.settings.weak = static_cast<int>(number(100));
    } else if (flag == "--row") {
      const std::string name = value();
      const RowInfo* row = explore::find_row(name.c_str());
      if (!row) refuse("there is no row " + name);
      arguments.rows.push_back(row);
    } else if (flag == "--seconds") {
      arguments.settings.seconds = number(1e9);
    } else if (flag == "--jobs") {
      arguments.jobs = static_cast<int>(number(1000));
      if (arguments.jobs < 1) refuse("--jobs: not 0");
    } else if (flag == "--fail-fast") {
      arguments.fail_fast = true;
    } else if (flag == "--every-run") {
      arguments.settings.skip_seen = false;
    } else if (flag == "--no-times") {
      arguments.times = false;
    } else if (flag == "--replay") {
      arguments.seed = value();
      arguments.replay = true;
    } else if (flag == "--list") {
      for (const auto table : explore::row_tables())
        for (const RowInfo& row : table)
          std::printf("%-28s %d threads  %s\n", row.name, row.threads, row.what);
      std::exit(0);
    } else if (flag == "--help") {
      std::fputs(usage, stdout);
      std::exit(0);
    } else {
      refuse("unknown: " + flag);
    }
  }
  if (!memory_was_said && arguments.settings.stale > 0)
    arguments.settings.model = explore::Model::cpp;
  if (arguments.replay && arguments.rows.size() != 1) refuse("--replay is for one --row");
  arguments.settings.spares_large_rows = arguments.rows.empty();
  if (arguments.rows.empty())
    for (const auto table : explore::row_tables())
      for (const RowInfo& row : table) arguments.rows.push_back(&row);
  return arguments;
}

std::string repeat_command(const RowInfo& row, const Settings& settings, const std::string& seed) {
  const char* models[] = {"newest", "x86", "cpp"};
  return std::string("script/explore --row ") + row.name + " --bound " +
         (settings.bound == 200 ? "none" : std::to_string(settings.bound)) + " --stale " +
         std::to_string(settings.stale) + " --weak " + std::to_string(settings.weak) +
         " --memory " + models[static_cast<int>(settings.model)] + " --replay '" + seed + "'";
}

/// What is printed of a row: a line of the table, and under it why it failed.
std::string report(const RowInfo& row, const Arguments& arguments, const Verdict& verdict) {
  const Settings& settings = arguments.settings;
  char line[200];
  char seconds[20];
  std::snprintf(seconds, sizeof seconds, "%9.2f", verdict.seconds);
  std::snprintf(line, sizeof line, "%-28s %12llu %12llu %s  %s\n", row.name,
                static_cast<unsigned long long>(verdict.runs),
                static_cast<unsigned long long>(verdict.cut), arguments.times ? seconds : "",
                !verdict.failure.empty() ? "FAILED"
                : verdict.complete       ? "ok"
                                         : "ok so far");
  std::string text = line;
  if (verdict.failure.empty()) return text;
  std::string trace;
  const Verdict again = explore::replay_row(row, settings, verdict.seed, trace);
  text += "\n" + trace + "\n    " + verdict.failure + "\n";
  if (again.failure != verdict.failure)
    text += "    (the replay ended otherwise: " + (again.failure.empty() ? "well" : again.failure) +
            ")\n";
  text += "    to see it again: " + repeat_command(row, settings, verdict.seed) + "\n\n";
  return text;
}

/// A row that is explored in a process of its own, so that rows run side by side.
struct Running {
  const RowInfo* row = nullptr;
  pid_t pid = 0;
  int descriptor = -1;  // where its report comes from; -1: it has ended
  std::string report;
  bool failed = false;

  Running(const RowInfo& explored, const Arguments& arguments) : row(&explored) {
    int ends[2];
    if (pipe(ends) != 0) refuse("no pipe");
    std::fflush(stdout);
    pid = fork();
    if (pid < 0) refuse("no process");
    if (pid > 0) {
      close(ends[1]);
      descriptor = ends[0];
      return;
    }
    const Verdict verdict = explore::explore_row(explored, arguments.settings);
    const std::string text = ::report(explored, arguments, verdict);
    for (std::size_t at = 0; at < text.size();) {
      const ssize_t written = write(ends[1], text.data() + at, text.size() - at);
      if (written < 0) _exit(3);
      at += static_cast<std::size_t>(written);
    }
    _exit(verdict.failure.empty() ? 0 : 1);
  }

  /// Takes what has come of its report; waits for some.
  void read_on() {
    char buffer[4096];
    const ssize_t got = read(descriptor, buffer, sizeof buffer);
    if (got > 0) {
      report.append(buffer, static_cast<std::size_t>(got));
      return;
    }
    close(descriptor);
    descriptor = -1;
    int status = 0;
    waitpid(pid, &status, 0);
    failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
    if (failed && !(WIFEXITED(status) && WEXITSTATUS(status) == 1))
      report += std::string(row->name) + ": the checker itself ended with status " +
                std::to_string(status) + "\n";
  }
};

/// Explores them, so many at a time; prints their reports in their order. @return how many failed
int explore_rows(const Arguments& arguments) {
  std::deque<Running> running;  // in order; those at the front may have ended
  std::size_t next = 0;
  int failed = 0;
  for (;;) {
    while (!running.empty() && running.front().descriptor < 0) {
      std::fputs(running.front().report.c_str(), stdout);
      std::fflush(stdout);
      running.pop_front();
    }
    std::vector<pollfd> open;
    std::vector<Running*> whose;
    for (Running& one : running)
      if (one.descriptor >= 0) {
        open.push_back({one.descriptor, POLLIN, 0});
        whose.push_back(&one);
      }
    const bool stops = arguments.fail_fast && failed > 0;
    if (next < arguments.rows.size() && !stops &&
        open.size() < static_cast<std::size_t>(arguments.jobs)) {
      running.emplace_back(*arguments.rows[next++], arguments);
      continue;
    }
    if (open.empty()) return failed;
    if (poll(open.data(), open.size(), -1) < 0) continue;
    for (std::size_t i = 0; i < open.size(); ++i)
      if (open[i].revents != 0) {
        whose[i]->read_on();
        if (whose[i]->descriptor < 0) failed += whose[i]->failed;
      }
  }
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments = parse(argc, argv);
  explore::prepare_rows();

  if (arguments.replay) {
    std::string trace;
    const Verdict verdict =
        explore::replay_row(*arguments.rows[0], arguments.settings, arguments.seed, trace);
    std::printf("%s\n    %s\n", trace.c_str(),
                verdict.failure.empty() ? "ok" : verdict.failure.c_str());
    return verdict.failure.empty() ? 0 : 1;
  }

  std::printf("%-28s %12s %12s %s\n", "row", "runs", "cut", arguments.times ? "  seconds" : "");
  const int failed = explore_rows(arguments);
  if (failed) std::printf("%d of %zu rows FAILED\n", failed, arguments.rows.size());
  return failed ? 1 : 0;
}
