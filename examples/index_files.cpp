// index_stdlib.py in C++: the same flags, the same progress, the same Ctrl-C, the same numbers.
// What an identifier is, which files are read and what the exit statuses mean is said there.
//
// Three things to see:
//   - One Lock guards what the threads share, and works with std::scoped_lock.
//   - A second Lock says that all is done: main waits to acquire it, the last worker releases it.
//     Any thread may release a Lock, and a wait for one can be timed and interrupted.
//   - Ctrl-C, and interrupt_main() from the watchdog, arrive in main as an exception.
#include <underthread/underthread.h>

#include <getopt.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

namespace {

namespace fs = std::filesystem;
using namespace underthread;

constexpr auto tick = std::chrono::milliseconds(100);  // how often the bar moves

/// Those that this process may use: hardware_concurrency() may count the others too.
unsigned processors() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof(allowed), &allowed) == 0)
    return static_cast<unsigned>(CPU_COUNT(&allowed));
  return std::max(1u, std::thread::hardware_concurrency());
}

struct Options {
  unsigned threads = processors();
  std::optional<double> seconds;
  unsigned top = 20;
  std::string root;
  std::string index;
  bool progress = true;
};

/// What the threads share. Held by shared_ptr, because a worker that is stuck in a read outlives an
/// interrupted main.
struct Job {
  Lock lock;  // guards all down to `working`
  std::deque<std::string> queue;
  bool listed = false;
  std::size_t files = 0;
  std::size_t files_left = 0;
  std::unordered_map<std::string, std::uint64_t> index;
  std::size_t files_read = 0;
  std::uint64_t bytes_read = 0;
  std::map<std::string, std::string> unreadable;  // path and reason
  unsigned working = 0;

  Lock finished;  // acquired before the workers start, released by the last of them
  std::atomic<bool> stop = false;
  std::atomic<bool> time_is_up = false;
};

bool is_word(unsigned char byte) {
  return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
         (byte >= 'A' && byte <= 'Z') || byte == '_' || byte > 127;
}

using Counts = std::unordered_map<std::string_view, std::uint64_t>;

Counts count_identifiers(std::string_view text) {
  Counts counts;
  for (auto at = text.begin(); (at = std::find_if(at, text.end(), is_word)) != text.end();) {
    const auto end = std::find_if_not(at, text.end(), is_word);
    if (*at < '0' || *at > '9') ++counts[std::string_view(at, end)];
    at = end;
  }
  return counts;
}

/// The file's bytes; nothing, and errno, when it cannot be read.
std::optional<std::string> read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             &std::fclose);
  if (!file) return {};
  std::string text;
  std::array<char, 65536> chunk;
  while (const std::size_t size = std::fread(chunk.data(), 1, chunk.size(), file.get()))
    text.append(chunk.data(), size);
  if (std::ferror(file.get())) return {};
  return text;
}

std::optional<std::string> take_path(Job& job) {
  std::scoped_lock hold(job.lock);
  if (job.stop || job.queue.empty()) return {};
  std::string path = std::move(job.queue.front());
  job.queue.pop_front();
  return path;
}

void work(const std::shared_ptr<Job>& job) {
  // On every way out, also by an exception, which underthread would report and survive.
  struct Leave {
    Job& job;
    ~Leave() {
      std::scoped_lock hold(job.lock);
      if (--job.working == 0) job.finished.release();
    }
  } leave{*job};

  while (const auto path = take_path(*job)) {
    const auto text = read_file(*path);
    const int reason = errno;
    // Counted first and merged after, so that the lock is held for a moment only.
    const Counts counts = text ? count_identifiers(*text) : Counts();
    std::scoped_lock hold(job->lock);
    --job->files_left;
    if (text) {
      ++job->files_read;
      job->bytes_read += text->size();
      for (const auto& [name, count] : counts) job->index[std::string(name)] += count;
    } else {
      job->unreadable[*path] = std::strerror(reason);
    }
  }
}

void watch(const std::shared_ptr<Job>& job, double seconds) {
  sleep_for(std::chrono::duration<double>(seconds));
  job->time_is_up = true;
  interrupt_main();  // once main has stopped waiting, nobody notices
}

void list_files(const fs::path& directory, Job& job, std::vector<std::string>& files) {
  check_interrupts();  // a main that does not wait asks whether Ctrl-C was pressed
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const fs::path name = it->path().filename();
    std::error_code not_there;
    if (!it->is_directory(not_there)) {
      if (name.native().ends_with(".py")) files.push_back(it->path().native());
    } else if (!it->is_symlink(not_there) && name != "site-packages" && name != "dist-packages") {
      list_files(it->path(), job, files);
    }
  }
  if (error) job.unreadable[directory.native()] = error.message();
}

void draw_bar(Job& job) {
  std::scoped_lock hold(job.lock);
  const std::size_t done = job.files - job.files_left;
  const std::string bar(30 * done / std::max<std::size_t>(job.files, 1), '#');
  std::fprintf(stderr, "\r[%-30s] %zu/%zu files, %.1f MB", bar.c_str(), done, job.files,
               static_cast<double>(job.bytes_read) / 1e6);
}

enum class End { whole, interrupted, time_is_up, worker_failed };

End run(const std::shared_ptr<Job>& job, const Options& options) {
  const bool show_bar = options.progress && isatty(STDERR_FILENO);
  bool interrupted = false;
  try {
    if (options.seconds) start_new_thread(watch, job, *options.seconds);
    std::vector<std::string> files;
    list_files(options.root, *job, files);
    std::sort(files.begin(), files.end());
    job->queue.assign(files.begin(), files.end());
    job->files = job->files_left = files.size();
    job->listed = true;

    job->finished.acquire();
    job->working = options.threads;
    for (unsigned i = 0; i < options.threads; ++i) start_new_thread(work, job);
    // Where SIGINT is ignored interrupt_main() does nothing, and we have to look ourselves.
    const bool deaf = getsignal(SIGINT) == ignore;
    while (!job->finished.acquire(true, tick) && !(deaf && job->time_is_up))
      if (show_bar) draw_bar(*job);
  } catch (const KeyboardInterrupt&) {
    interrupted = !job->time_is_up;
  }
  job->stop = true;
  if (show_bar) {
    draw_bar(*job);
    std::fputc('\n', stderr);
  }
  if (interrupted) return End::interrupted;
  std::scoped_lock hold(job->lock);
  if (job->listed && job->files_left == 0) return End::whole;
  return job->time_is_up ? End::time_is_up : End::worker_failed;
}

using Ranking = std::vector<std::pair<std::string, std::uintmax_t>>;

void print(std::FILE* out, const Ranking& ranking, std::size_t top) {
  for (std::size_t i = 0; i < std::min(top, ranking.size()); ++i)
    std::fprintf(out, "%11ju  %s\n", ranking[i].second, ranking[i].first.c_str());
}

/// An error in one line, for main to print and return 1.
std::runtime_error cannot(const std::string& what) {
  return std::runtime_error(what + ": " + std::strerror(errno));
}

void report(Job& job, const Options& options, End end) {
  std::scoped_lock hold(job.lock);
  for (const auto& [path, reason] : job.unreadable)
    std::fprintf(stderr, "index_files: cannot read %s: %s\n", path.c_str(), reason.c_str());
  if (job.files == 0 && end == End::whole)
    throw std::runtime_error("no .py files under " + options.root);

  Ranking ranking(job.index.begin(), job.index.end());
  std::sort(ranking.begin(), ranking.end(), [](const auto& a, const auto& b) {
    return a.second != b.second ? a.second > b.second : a.first < b.first;
  });
  std::uintmax_t total = 0;
  for (const auto& [name, count] : ranking) total += count;

  print(stdout, ranking, options.top);
  std::printf("\nfiles read: %zu of %zu\n", job.files_read, job.files);
  std::printf("bytes read: %ju\n", job.bytes_read);
  std::printf("could not be read: %zu\n", job.unreadable.size());
  std::printf("identifiers: %ju\ndifferent identifiers: %zu\n", total, ranking.size());
  std::printf("threads: %u\n", options.threads);
  std::printf("_thread: underthread's C++ library\n");
  if (end == End::interrupted) std::printf("PARTIAL: Ctrl-C\n");
  if (end == End::time_is_up) std::printf("PARTIAL: %g seconds were up\n", *options.seconds);
  if (end == End::worker_failed) std::printf("PARTIAL: a worker failed\n");
  if (std::fflush(stdout) != 0) throw cannot("cannot write the results");

  if (!options.index.empty() && end == End::whole) {
    std::FILE* file = std::fopen(options.index.c_str(), "wb");
    if (!file) throw cannot(options.index);
    print(file, ranking, ranking.size());
    if (std::fclose(file) != 0) throw cannot(options.index);
  }
}

template <class Number>
Number number(const char* flag, std::string_view text, Number most, const char* wanted) {
  Number value{};
  const auto [end, error] = std::from_chars(text.begin(), text.end(), value);
  if (error == std::errc() && end == text.end() && value > 0 && value <= most) return value;
  throw std::invalid_argument(std::string("argument --") + flag + ": " + wanted +
                              " is wanted, not '" + std::string(text) + "'");
}

constexpr char usage[] =
    "usage: index_files --root DIR [--threads N] [--seconds N] [--top N] [--index FILE]\n"
    "                   [--no-progress]\n";

Options parse_arguments(int argc, char** argv) {
  static const option flags[] = {
      {"help", no_argument, nullptr, 'h'},          {"threads", required_argument, nullptr, 't'},
      {"seconds", required_argument, nullptr, 's'}, {"top", required_argument, nullptr, 'n'},
      {"root", required_argument, nullptr, 'r'},    {"index", required_argument, nullptr, 'i'},
      {"no-progress", no_argument, nullptr, 'p'},   {nullptr, 0, nullptr, 0},
  };
  Options options;
  for (int flag; (flag = getopt_long(argc, argv, "h", flags, nullptr)) != -1;) switch (flag) {
      case 't':
        options.threads = number("threads", optarg, 1000u, "a whole number from 1 to 1000");
        break;
      case 's':
        options.seconds = number("seconds", optarg, TIMEOUT_MAX, "a number above 0");
        break;
      case 'n':
        options.top = number("top", optarg, 1000000u, "a whole number from 1 to 1000000");
        break;
      case 'r':
        options.root = optarg;
        break;
      case 'i':
        options.index = optarg;
        break;
      case 'p':
        options.progress = false;
        break;
      case 'h':
        std::printf(
            "%s\n"
            "Count the identifiers of the .py files under a directory, in threads.\n\n"
            "  --root DIR     where the .py files are\n"
            "  --threads N    how many threads read and count (default: one for each CPU)\n"
            "  --seconds N    stop after so long, with the results so far and exit status 124\n"
            "  --top N        how many of the commonest identifiers to print (default: 20)\n"
            "  --index FILE   write all identifiers and their counts to FILE\n"
            "  --no-progress  no progress bar, even on a terminal\n\n"
            "Ctrl-C stops at once and prints the results so far.\n",
            usage);
        throw SystemExit(0);
      default:
        throw std::invalid_argument("");  // getopt_long has said what is wrong
    }
  if (optind < argc)
    throw std::invalid_argument(std::string("unrecognized arguments: ") + argv[optind]);
  if (options.root.empty()) throw std::invalid_argument("--root DIR is needed");
  return options;
}

int index_files(int argc, char** argv) {
  Options options;
  try {
    options = parse_arguments(argc, argv);
  } catch (const std::invalid_argument& reason) {
    std::fputs(usage, stderr);
    if (*reason.what()) std::fprintf(stderr, "index_files: error: %s\n", reason.what());
    return 2;
  }
  try {
    if (!fs::is_directory(options.root))
      throw std::runtime_error("no such directory: " + options.root);
    const auto job = std::make_shared<Job>();
    const End end = run(job, options);
    // Results that nobody reads must not hold up whoever presses Ctrl-C now.
    if (getsignal(SIGINT) == default_int_handler) signal(SIGINT, default_action);
    report(*job, options, end);
    // Ends the process by the signal itself, so that a shell that runs us in a loop leaves the
    // loop.
    if (end == End::interrupted) throw KeyboardInterrupt();
    return end == End::whole ? 0 : end == End::time_is_up ? 124 : 1;
  } catch (const std::exception& reason) {
    std::fprintf(stderr, "index_files: %s\n", reason.what());
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_main(argc, argv, index_files);
}
