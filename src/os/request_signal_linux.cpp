#include "os/request_signal.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "os/nudge.h"
#include "os/signal_stack.h"
#include "os/write.h"

namespace underthread::os {
namespace {

constexpr std::int64_t second = 1'000'000'000;

// Written before the handler that reads it is installed.
constinit std::atomic<void (*)(const Request&)> asked_function{nullptr};
// What was in force before. By the callers of `take` and `give_back`, one at a time.
constinit std::array<struct sigaction, NSIG> before = {};

/// A timer's signal has one of these addresses with it, which says its value.
constinit std::array<char, 16> timer_marks = {};
/// What `ask_process` sends has this above its value: another program may queue this signal too.
constexpr std::uint64_t asks = 0x75647265'00000000u;

}  // namespace

void handle_request(int signum, siginfo_t* info, void* context) {
  const KeptErrno kept;
  Request request;
  // The thread's own mask, without what is blocked while the handler runs.
  const sigset_t& mask = static_cast<const ucontext_t*>(context)->uc_sigmask;
  request.may_have_timer = sigismember(&mask, SIGURG) == 0;
  const auto value = reinterpret_cast<std::uintptr_t>(info->si_value.sival_ptr);
  const auto* const mark = static_cast<const char*>(info->si_value.sival_ptr);
  if (info->si_code == SI_TIMER && mark >= timer_marks.begin() && mark < timer_marks.end()) {
    request.from = Request::From::timer;
    request.value = static_cast<int>(mark - timer_marks.begin());
  } else if (info->si_code == SI_QUEUE && (value & ~std::uint64_t{0xFFFFFFFF}) == asks) {
    request.from = Request::From::process;
    request.process = static_cast<std::uint64_t>(info->si_pid);
    request.value = static_cast<int>(value & 0xFFFFFFFF);
  } else if (signum == SIGURG) {
    return Nudge::handle(signum);
  }
  // acquire: pairs with the release in `take_request_signal`.
  asked_function.load(std::memory_order_acquire)(request);
}

int take_request_signal(int signum, void (*asked)(const Request&)) noexcept {
  if (signum <= 0 || signum >= NSIG) return EINVAL;
  asked_function.store(asked, std::memory_order_release);
  if (is_request_signal(signum)) return 0;
  struct sigaction ours = {};
  sigemptyset(&ours.sa_mask);
  ours.sa_sigaction = handle_request;
  ours.sa_flags = on_signal_stack | SA_SIGINFO;
  struct sigaction old = {};
  if (sigaction(signum, &ours, &old) != 0) return errno;
  if ((old.sa_flags & SA_SIGINFO) == 0 && old.sa_handler == Nudge::handle) {
    old = {};
    old.sa_handler = SIG_DFL;
  }
  before[static_cast<std::size_t>(signum)] = old;
  return 0;
}

bool is_request_signal(int signum) noexcept {
  struct sigaction action = {};
  return signum > 0 && sigaction(signum, nullptr, &action) == 0 &&
         (action.sa_flags & SA_SIGINFO) != 0 && action.sa_sigaction == handle_request;
}

void give_back_request_signal(int signum) noexcept {
  if (is_request_signal(signum))
    sigaction(signum, &before[static_cast<std::size_t>(signum)], nullptr);
}

int unused_real_time_signal() noexcept {
  for (int signum = SIGRTMAX; signum >= SIGRTMIN; --signum) {
    struct sigaction action = {};
    if (sigaction(signum, nullptr, &action) == 0 && (action.sa_flags & SA_SIGINFO) == 0 &&
        action.sa_handler == SIG_DFL)
      return signum;
  }
  return 0;
}

int ask_process(std::uint64_t process, int signum, int value) noexcept {
  sigval with = {};
  with.sival_ptr = reinterpret_cast<void*>(asks | static_cast<std::uint32_t>(value));
  return sigqueue(static_cast<pid_t>(process), signum, with) == 0 ? 0 : errno;
}

int open_descriptor_of(std::uint64_t process, int descriptor) noexcept {
  // Not by snprintf, which may allocate.
  std::array<char, 64> path{};
  char* at = path.data();
  const auto put = [&at](const char* text) {
    const std::size_t size = std::strlen(text);
    std::memcpy(at, text, size);
    at += size;
  };
  const auto put_number = [&at](std::uint64_t number) {
    std::array<char, 20> digits{};
    std::size_t count = 0;
    do digits[count++] = static_cast<char>('0' + number % 10);
    while ((number /= 10) != 0);
    while (count > 0) *at++ = digits[--count];
  };
  put("/proc/");
  put_number(process);
  put("/fd/");
  put_number(static_cast<std::uint32_t>(descriptor));
  return open(path.data(), O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

std::uint64_t process_id() noexcept {
  return static_cast<std::uint64_t>(getpid());
}

bool run_in_copy(void (*function)(void*), void* argument) noexcept {
  // The system's own call: the program's handlers of forks are not for this. Without a signal to
  // the parent, so that only who asks for such children waits for it.
  const long child = syscall(SYS_clone, 0, nullptr, nullptr, nullptr, nullptr);
  if (child == 0) {
    // What crashes leaves no core, and runs no handler.
    constexpr rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    for (const int signum : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGPIPE, SIGTERM}) {
      struct sigaction as_ever = {};
      as_ever.sa_handler = SIG_DFL;
      sigaction(signum, &as_ever, nullptr);
      sigset_t only;
      sigemptyset(&only);
      sigaddset(&only, signum);
      pthread_sigmask(SIG_UNBLOCK, &only, nullptr);
    }
    function(argument);
    syscall(SYS_exit_group, 0);
  }
  if (child < 0) return false;
  constexpr timespec pause = {0, 5'000'000};
  int status = 0;
  for (int left = 200; left >= 0; --left) {
    const long ended = syscall(SYS_wait4, child, &status, WNOHANG | __WALL, nullptr);
    if (ended == child) return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (ended < 0 && errno != EINTR) return false;
    if (left > 0) syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, &pause, nullptr);
  }
  syscall(SYS_kill, child, SIGKILL);
  while (syscall(SYS_wait4, child, &status, __WALL, nullptr) < 0 && errno == EINTR) {
  }
  return false;
}

bool duplicate_as(int descriptor, int number) noexcept {
  // The lowest from there on that is free: never one that somebody opens at this moment.
  const int made = fcntl(descriptor, F_DUPFD_CLOEXEC, number);
  if (made >= 0 && made != number) close(made);
  return made == number;
}

bool is_open(int descriptor) noexcept {
  return fcntl(descriptor, F_GETFD) >= 0;
}

void close_descriptor(int descriptor) noexcept {
  close(descriptor);
}

void KeptText::make_room(std::size_t size) noexcept {
  unmap();
  void* const memory =
      mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return;
  data_ = static_cast<char*>(memory);
  room_ = size;
}

void KeptText::add(std::string_view text) noexcept {
  const std::size_t count = text.size() < room_ - size_ ? text.size() : room_ - size_;
  std::memcpy(data_ + size_, text.data(), count);
  size_ += count;
}

void KeptText::unmap() noexcept {
  if (data_) munmap(data_, room_);
  data_ = nullptr;
  size_ = room_ = 0;
}

bool RequestTimer::start(int value, std::int64_t first, std::int64_t pause) noexcept {
  stop();
  if (!is_request_signal(SIGURG)) return false;
  struct sigevent event = {};
  // A thread's own: no `sigwait` of another takes it.
  event.sigev_notify = SIGEV_THREAD_ID;
  event._sigev_un._tid = static_cast<pid_t>(syscall(SYS_gettid));
  event.sigev_signo = SIGURG;
  event.sigev_value.sival_ptr = &timer_marks[static_cast<std::size_t>(value)];
  // The system's own call, since the C library's allocates.
  int timer = -1;
  if (syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) != 0) return false;
  timer_.store(timer, std::memory_order_relaxed);
  struct itimerspec when = {};
  when.it_value = {static_cast<time_t>(first / second), static_cast<long>(first % second)};
  when.it_interval = {static_cast<time_t>(pause / second), static_cast<long>(pause % second)};
  if (syscall(SYS_timer_settime, timer, 0, &when, nullptr) == 0) return true;
  stop();
  return false;
}

void RequestTimer::stop() noexcept {
  const int timer = timer_.exchange(-1, std::memory_order_relaxed);
  if (timer >= 0) syscall(SYS_timer_delete, timer);
}

bool Notice::put_up(const char* name) noexcept {
  take_down();
  const int file = memfd_create(name, MFD_CLOEXEC);
  if (file < 0) return false;
  const long size = sysconf(_SC_PAGESIZE);
  void* const page = ftruncate(file, size) == 0 ? mmap(nullptr, static_cast<std::size_t>(size),
                                                       PROT_READ, MAP_PRIVATE, file, 0)
                                                : MAP_FAILED;
  close(file);
  if (page == MAP_FAILED) return false;
  page_ = page;
  return true;
}

void Notice::take_down() noexcept {
  if (page_) munmap(page_, static_cast<std::size_t>(sysconf(_SC_PAGESIZE)));
  page_ = nullptr;
}

}  // namespace underthread::os
