// A watchdog: copies FILE to standard output, and opens it again when it stalls:
// watchdog SECONDS FILE [TIMES]
//
// FILE is a pipe, a terminal or a device that should say something every so often. A thread reads
// it. The main thread watches: where nothing has come for SECONDS it interrupts that thread, by its
// handle and with an exception of the program's own, which ends the open or the read that the
// thread is stuck in. It then waits twice as long, three times as long and so on, since opening
// takes its time too, and after TIMES in a row (3) it gives up. Ctrl-C ends it at any moment;
// nothing that was read is lost.

#include <underthread/underthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

namespace {

using underthread::interruptible_syscall;
using underthread::Thread;

struct Stalled {};

class File {
 public:
  explicit File(const char* path)
      : fd_(interruptible_syscall([&] { return open(path, O_RDONLY | O_CLOEXEC); })) {
    if (fd_ == -1) throw std::system_error(errno, std::generic_category(), path);
  }
  ~File() { close(fd_); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

/// All of it, though the reader stalls meanwhile: only its end leaves from here.
void write_all(const char* bytes, std::size_t size) {
  while (size > 0) {
    try {
      const ssize_t written =
          interruptible_syscall([&] { return write(STDOUT_FILENO, bytes, size); });
      if (written == -1) throw std::system_error(errno, std::generic_category(), "write");
      bytes += written;
      size -= static_cast<std::size_t>(written);
    } catch (const Stalled&) {
      // It is not the file that has stalled.
    }
  }
}

struct Progress {
  std::atomic<std::uint64_t> copied = 0;
  std::atomic<bool> is_writing = false;
};

/// Until the end of the file.
void copy(const char* path, Progress& progress) {
  std::array<char, 4096> piece;
  for (;;) {
    try {
      const File file(path);
      for (;;) {
        const ssize_t got =
            interruptible_syscall([&] { return read(file.fd(), piece.data(), piece.size()); });
        if (got == -1) throw std::system_error(errno, std::generic_category(), path);
        if (got == 0) return;
        progress.is_writing = true;
        write_all(piece.data(), static_cast<std::size_t>(got));
        progress.is_writing = false;
        progress.copied += static_cast<std::uint64_t>(got);
      }
    } catch (const Stalled&) {
      std::fprintf(stderr, "%s has stalled; opening it again\n", path);
    }
  }
}

int watch(int argc, char** argv) {
  const double seconds = argc == 3 || argc == 4 ? std::strtod(argv[1], nullptr) : 0;
  const long times = argc == 4 ? std::strtol(argv[3], nullptr, 10) : 3;
  if (!(seconds > 0 && seconds <= underthread::TIMEOUT_MAX) || times < 1) {
    std::fprintf(stderr, "usage: %s SECONDS FILE [TIMES]\n", argv[0]);
    return 2;
  }
  Progress progress;
  try {
    // Where an exception leaves this scope, Ctrl-C's too, the reader is interrupted and joined.
    const Thread reader({.name = "reader", .reports_exception = false},
                        [&] { copy(argv[2], progress); });
    double stalls = 0;
    const auto patience = [&] {
      return std::min(seconds * (1 + stalls), underthread::TIMEOUT_MAX);
    };
    for (std::uint64_t before = 0; !reader.join(patience()); before = progress.copied) {
      if (progress.copied != before || progress.is_writing) {
        stalls = 0;
        continue;
      }
      if (++stalls > times) {
        std::fprintf(stderr, "%s is given up\n", argv[2]);
        reader.interrupt();
        reader.join();
        return 1;
      }
      reader.interrupt(Stalled());
    }
  } catch (const std::system_error& failure) {
    std::fprintf(stderr, "%s\n", failure.what());  // the reader's, thrown where it is joined
    return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return underthread::run_main(argc, argv, watch);
}
