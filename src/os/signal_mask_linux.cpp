#include "os/signal_mask.h"

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace underthread::os {
namespace {

/// Of a thread that sleeps in a system call: its number and its first argument, and another_call.
WaitsFor read_syscall(std::uint64_t native_id, long& number, std::uintptr_t& argument) noexcept {
  char path[48] = "/proc/";
  char* const end = std::to_chars(path + std::strlen(path), path + 32, native_id).ptr;
  std::strcpy(end, "/syscall");
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return WaitsFor::unknown;
  char text[256];
  const ssize_t got = read(file, text, sizeof text);
  close(file);
  if (got <= 0) return WaitsFor::unknown;
  // "128 0x7f41... 0x...": a thread that runs has a word in the place of the number.
  const char* const last = text + got;
  const auto [after, error] = std::from_chars(text, last, number);
  if (error != std::errc()) return WaitsFor::nothing;
  if (last - after < 4 || std::from_chars(after + 3, last, argument, 16).ec != std::errc())
    return WaitsFor::unknown;
  return number == SYS_futex ? WaitsFor::a_lock : WaitsFor::another_call;
}

}  // namespace

WaitsFor waits_for(std::uint64_t native_id, int signum, int looks) noexcept {
  const int saved = errno;
  long number = 0;
  std::uintptr_t address = 0;
  std::uint64_t set = 0;
  WaitsFor found = WaitsFor::nothing;
  for (; looks > 0 && found == WaitsFor::nothing; --looks) {
    found = read_syscall(native_id, number, address);
    if (found == WaitsFor::nothing) sched_yield();
  }
  if (found == WaitsFor::another_call && number == SYS_rt_sigtimedwait) {
    found = WaitsFor::unknown;
    // Its set, in the memory that we share. By the system, since it may return meanwhile.
    const struct iovec here = {&set, sizeof set};
    const struct iovec there = {reinterpret_cast<void*>(address), sizeof set};
    if (process_vm_readv(getpid(), &here, 1, &there, 1, 0) == sizeof set &&
        (set >> (signum - 1) & 1) != 0)
      found = WaitsFor::the_signal;
  }
  errno = saved;
  return found;
}

bool this_thread_blocks(int signum) noexcept {
  sigset_t mask;
  return pthread_sigmask(SIG_BLOCK, nullptr, &mask) == 0 && sigismember(&mask, signum) == 1;
}

AllSignalsBlocked::AllSignalsBlocked() noexcept {
  sigset_t all;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before_);
}

AllSignalsBlocked::~AllSignalsBlocked() {
  pthread_sigmask(SIG_SETMASK, &before_, nullptr);
}

}  // namespace underthread::os
