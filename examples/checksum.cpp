// A pool: the CRC-32 of files, by a few threads: checksum [-j THREADS] FILE…
//
// The threads take one file after the other; each is a Task, which returns what it has found.
// Ctrl-C throws KeyboardInterrupt where the main thread waits for the first of them. That leaves
// the scope of the tasks, so each is interrupted, wherever it is: between two pieces, or in a read
// from a pipe to which nobody writes. The scope is left when all have ended, and what was found
// until then is said.

#include <underthread/underthread.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace {

class File {
 public:
  explicit File(const char* path)
      // To open a pipe waits for who writes to it.
      : path_(path),
        fd_(underthread::interruptible_syscall([&] { return open(path, O_RDONLY | O_CLOEXEC); })) {
    if (fd_ == -1) throw std::system_error(errno, std::generic_category(), path);
  }
  ~File() { close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  /// @return how many bytes; 0: the end
  std::size_t read(std::span<char> into) const {
    const ssize_t got =
        underthread::interruptible_syscall([&] { return ::read(fd_, into.data(), into.size()); });
    if (got == -1) throw std::system_error(errno, std::generic_category(), path_);
    return static_cast<std::size_t>(got);
  }

 private:
  const char* path_;
  int fd_;
};

std::uint32_t crc32(const char* path) {
  const File file(path);
  std::vector<char> piece(65536);
  std::uint32_t crc = ~std::uint32_t{0};
  while (const std::size_t size = file.read(piece)) {
    for (std::size_t i = 0; i < size; ++i) {
      crc ^= static_cast<unsigned char>(piece[i]);
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xEDB88320 : 0);
    }
  }
  return ~crc;
}

struct Job {
  const char* path;
  std::optional<std::uint32_t> crc = {};
  std::string failure = {};
};

/// Does one job after the other; any number of threads may at once. @return how many failed
int work(std::vector<Job>& jobs, std::atomic<std::size_t>& next) {
  int failed = 0;
  for (std::size_t mine; (mine = next++) < jobs.size();) {
    Job& job = jobs[mine];
    try {
      job.crc = crc32(job.path);
    } catch (const std::system_error& failure) {
      job.failure = failure.what();
      ++failed;
    }
  }
  return failed;
}

void print(const std::vector<Job>& jobs) {
  for (const Job& job : jobs) {
    if (job.crc) std::printf("%08x  %s\n", static_cast<unsigned>(*job.crc), job.path);
    if (!job.failure.empty()) std::fprintf(stderr, "%s\n", job.failure.c_str());
  }
  std::fflush(stdout);
}

int checksum(int argc, char** argv) {
  std::size_t threads = 4;
  int first = 1;
  if (argc > 2 && std::string_view(argv[1]) == "-j") {
    threads = std::strtoul(argv[2], nullptr, 10);
    first = 3;
  }
  if (argc <= first || threads < 1 || threads > 1000) {
    std::fprintf(stderr, "usage: %s [-j THREADS] FILE...\n", argv[0]);
    return 2;
  }
  std::vector<Job> jobs;
  for (int i = first; i < argc; ++i) jobs.push_back({argv[i]});

  std::atomic<std::size_t> next = 0;
  int failed = 0;
  try {
    std::vector<underthread::Task<int>> pool;
    for (std::size_t i = 0; i < threads; ++i) pool.emplace_back([&] { return work(jobs, next); });
    for (auto& task : pool) failed += task.get();
  } catch (const underthread::KeyboardInterrupt&) {
    print(jobs);
    std::fprintf(stderr, "stopped\n");
    throw;
  }
  print(jobs);
  return failed > 0 ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  return underthread::run_main(argc, argv, checksum);
}
