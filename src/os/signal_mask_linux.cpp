#include "os/signal_mask.h"

#include "os/futex.h"

#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <string_view>
#include <system_error>

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace underthread::os {
namespace {

/// Reads /proc/TID/`name`. @return how much; 0: nothing
std::size_t read_of(std::uint64_t native_id, const char* name, char* text,
                    std::size_t size) noexcept {
  char path[48] = "/proc/";
  char* const end = std::to_chars(path + std::strlen(path), path + 32, native_id).ptr;
  std::strcpy(end, name);
  const int file = open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 0;
  const ssize_t got = read(file, text, size);
  close(file);
  return got > 0 ? static_cast<std::size_t>(got) : 0;
}

/// Calls that wait for something: what a thread is in, rather than passes through.
bool waits(long number) noexcept {
  switch (number) {
    case SYS_accept:
    case SYS_accept4:
    case SYS_clock_nanosleep:
    case SYS_connect:
    case SYS_epoll_pwait:
    case SYS_fcntl:
    case SYS_flock:
    case SYS_nanosleep:
    case SYS_openat:
    case SYS_ppoll:
    case SYS_pread64:
    case SYS_preadv:
    case SYS_pselect6:
    case SYS_read:
    case SYS_readv:
    case SYS_recvfrom:
    case SYS_recvmsg:
    case SYS_rt_sigtimedwait:
    case SYS_semtimedop:
    case SYS_sendmsg:
    case SYS_sendto:
    case SYS_wait4:
    case SYS_waitid:
    case SYS_write:
    case SYS_writev:
#ifdef SYS_epoll_wait
    case SYS_epoll_wait:
    case SYS_open:
    case SYS_pause:
    case SYS_poll:
    case SYS_select:
#endif
      return true;
    default:
      return false;
  }
}

/// Of a thread that sleeps in a system call: its number and its first argument, and another_call.
WaitsFor read_syscall(std::uint64_t native_id, long& number, std::uintptr_t& argument) noexcept {
  char text[256];
  const std::size_t got = read_of(native_id, "/syscall", text, sizeof text);
  if (got == 0) return WaitsFor::unknown;
  // "128 0x7f41... 0x...": a thread that runs has a word in the place of the number.
  const char* const last = text + got;
  const auto [after, error] = std::from_chars(text, last, number);
  if (error != std::errc()) return WaitsFor::nothing;
  if (last - after < 4 || std::from_chars(after + 3, last, argument, 16).ec != std::errc())
    return WaitsFor::unknown;
  if (number == SYS_futex) return WaitsFor::a_lock;
  return waits(number) ? WaitsFor::another_call : WaitsFor::unknown;
}

/// Whether a thread blocks a signal. False also where the system does not tell.
bool blocks(std::uint64_t native_id, int signum) noexcept {
  char text[4096];
  const std::string_view status(text, read_of(native_id, "/status", text, sizeof text));
  constexpr std::string_view title = "SigBlk:\t";
  const std::size_t at = status.find(title);
  if (at == std::string_view::npos) return false;
  std::uint64_t mask = 0;
  std::from_chars(text + at + title.size(), text + status.size(), mask, 16);
  return (mask >> (signum - 1) & 1) != 0;
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
    if (found == WaitsFor::nothing) relax();
  }
  // It may be on its way into that, or come to it with the signal pending; and no call is ended by
  // a signal that is blocked.
  if (found != WaitsFor::the_signal && blocks(native_id, signum)) found = WaitsFor::the_signal;
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
