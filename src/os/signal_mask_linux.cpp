#include "os/signal_mask.h"

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <system_error>

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace underthread::os {
namespace {

/// Of a thread that sleeps in a system call: its number and its first argument. False: it does not,
/// or that cannot be told.
bool read_syscall(std::uint64_t native_id, long& number, std::uintptr_t& argument) noexcept {
  char path[48] = "/proc/";
  char* const end = std::to_chars(path + std::strlen(path), path + 32, native_id).ptr;
  std::strcpy(end, "/syscall");
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return false;
  char text[256];
  const ssize_t got = read(file, text, sizeof text);
  close(file);
  if (got <= 0) return false;
  // "128 0x7f41... 0x...": a thread that runs has a word in the place of the number.
  const char* const last = text + got;
  const auto [after, error] = std::from_chars(text, last, number);
  if (error != std::errc() || last - after < 4) return false;
  return std::from_chars(after + 3, last, argument, 16).ec == std::errc();
}

}  // namespace

bool thread_waits_for(std::uint64_t native_id, int signum) noexcept {
  const int saved = errno;
  long number = 0;
  std::uintptr_t address = 0;
  std::uint64_t set = 0;
  bool waits = read_syscall(native_id, number, address) && number == SYS_rt_sigtimedwait;
  if (waits) {
    // Its set, in the memory that we share. By the system, since it may return meanwhile.
    const struct iovec here = {&set, sizeof set};
    const struct iovec there = {reinterpret_cast<void*>(address), sizeof set};
    waits = process_vm_readv(getpid(), &here, 1, &there, 1, 0) == sizeof set &&
            (set >> (signum - 1) & 1) != 0;
  }
  errno = saved;
  return waits;
}

void discard_own_signal(int signum) noexcept {
  if (!this_thread_blocks(signum)) return;
  const int saved = errno;
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, signum);
  const struct timespec now = {};
  siginfo_t info;
  while (sigtimedwait(&only, &info, &now) == signum) {
    if (info.si_code == SI_TIMER || (info.si_code == SI_TKILL && info.si_pid == getpid())) continue;
    syscall(SYS_rt_tgsigqueueinfo, getpid(), static_cast<pid_t>(syscall(SYS_gettid)), signum,
            &info);
    break;
  }
  errno = saved;
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
