#include "os/native_thread.h"

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <ctime>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/cancellation.h"
#include "os/fatal.h"
#include "os/futex.h"
#include "os/thread_sanitizer.h"

namespace underthread::os {
namespace {

// The key, and 1; 0: there is none yet. release when it is made, acquire where it is used.
constinit std::atomic<std::uint64_t> end_key{0};
// The same at every call; release before a thread's value is set, which its destructor acquires.
constinit std::atomic<void (*)(void*)> end_function{nullptr};

// A thread's value of the key: what `end_function` is called with, and how many rounds of
// destructors have passed. The last round is ours, so that the others find the thread as it was.
constexpr std::uintptr_t round_mask = 7;
static_assert(PTHREAD_DESTRUCTOR_ITERATIONS - 1 < round_mask);
/// ThreadSanitizer takes leave of a thread in the last one, and can be told nothing after that.
std::uintptr_t last_round() noexcept {
  return PTHREAD_DESTRUCTOR_ITERATIONS - (is_under_thread_sanitizer() ? 2 : 1);
}
// What the value is then. The system asks no more of us.
constexpr std::uintptr_t has_been_told = round_mask;

void set_end_value(std::uintptr_t value) noexcept {
  pthread_setspecific(static_cast<pthread_key_t>(end_key.load(std::memory_order_acquire) - 1),
                      reinterpret_cast<void*>(value));
}

void end_round(void* argument) {
  const auto value = reinterpret_cast<std::uintptr_t>(argument);
  if (value == has_been_told) return;
  const std::uintptr_t round = value & round_mask;
  if (round < last_round()) return set_end_value(value + 1);
  end_function.load(std::memory_order_acquire)(reinterpret_cast<void*>(value & ~round_mask));
  set_end_value(has_been_told);
}

/// @return 0, or an errno value
int make_end_key() noexcept {
  if (end_key.load(std::memory_order_acquire) != 0) return 0;
  pthread_key_t made{};
  if (const int error = pthread_key_create(&made, end_round); error != 0) return error;
  std::uint64_t none = 0;
  if (!end_key.compare_exchange_strong(none, std::uint64_t{made} + 1, std::memory_order_acq_rel))
    pthread_key_delete(made);
  return 0;
}

constinit pthread_once_t fork_once = PTHREAD_ONCE_INIT;
constinit int fork_error = 0;
// The same.
constinit std::atomic<void (*)()> fork_before{nullptr};
constinit std::atomic<void (*)()> fork_in_parent{nullptr};
constinit std::atomic<void (*)()> fork_in_child{nullptr};

void call(const std::atomic<void (*)()>& function) {
  function.load(std::memory_order_relaxed)();
}

constexpr std::size_t longest_name = 15;
constexpr std::int64_t second = 1'000'000'000;

}  // namespace

int start_thread(void* (*run)(void*), void* argument, std::size_t stack_size, bool joinable,
                 std::uintptr_t& ident) {
  pthread_attr_t attributes;
  if (const int error = pthread_attr_init(&attributes); error != 0) return error;
  int error = stack_size != 0 ? pthread_attr_setstacksize(&attributes, stack_size) : 0;
  if (error == 0 && !joinable)
    error = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread{};
  if (error == 0) error = pthread_create(&thread, &attributes, run, argument);
  pthread_attr_destroy(&attributes);
  if (error != 0) return error;
  ident = static_cast<std::uintptr_t>(thread);
  return 0;
}

bool join_thread(std::uintptr_t ident, std::int64_t patience) {
  // By the clock of the day, which may be set meanwhile: of joins that end by themselves sanitizers
  // know only this one. What is waited for is about to come, whatever the clock says.
  timespec when{};
  clock_gettime(CLOCK_REALTIME, &when);
  when.tv_nsec += static_cast<long>(patience);
  when.tv_sec += when.tv_nsec / second;
  when.tv_nsec %= second;
  const NoCancellation whole;
  const int error = pthread_timedjoin_np(static_cast<pthread_t>(ident), nullptr, &when);
  if (error == 0) return true;
  if (error != ETIMEDOUT) fatal("pthread_timedjoin_np", error);
  return false;
}

void detach_thread(std::uintptr_t ident) {
  if (const int error = pthread_detach(static_cast<pthread_t>(ident)); error != 0)
    fatal("pthread_detach", error);
}

std::uintptr_t thread_ident() noexcept {
  return static_cast<std::uintptr_t>(pthread_self());
}

std::uint64_t thread_native_id() noexcept {
  return static_cast<std::uint64_t>(syscall(SYS_gettid));
}

bool has_ended(std::uint64_t native_id) noexcept {
  const int saved = errno;
  const bool is_gone =
      syscall(SYS_tgkill, getpid(), static_cast<pid_t>(native_id), 0) != 0 && errno == ESRCH;
  errno = saved;
  return is_gone;
}

std::uint64_t native_id_of(std::uintptr_t ident) noexcept {
  clockid_t clock = 0;
  if (pthread_getcpuclockid(static_cast<pthread_t>(ident), &clock) != 0) return 0;
  // The clock of a thread's time is its number, inverted, and three bits for which of its clocks.
  return static_cast<std::uint64_t>(~(clock >> 3));
}

bool is_first_thread() noexcept {
  return syscall(SYS_gettid) == getpid();
}

void set_thread_name(const char* name) {
  char kept[longest_name + 1] = {};
  std::size_t size = strnlen(name, longest_name + 1);
  if (size > longest_name) {
    size = longest_name;
    while (size > 0 && (static_cast<unsigned char>(name[size]) & 0xC0) == 0x80) --size;
  }
  std::memcpy(kept, name, size);
  // A name is for show: a system that refuses it does not stop the thread.
  static_cast<void>(pthread_setname_np(pthread_self(), kept));
}

std::size_t page_size() noexcept {
  return static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

int call_at_thread_end(void (*ended)(void*), void* argument) noexcept {
  end_function.store(ended, std::memory_order_release);
  if (const int error = make_end_key(); error != 0) return error;
  return pthread_setspecific(
      static_cast<pthread_key_t>(end_key.load(std::memory_order_acquire) - 1), argument);
}

bool thread_end_has_been_told() noexcept {
  const std::uint64_t key = end_key.load(std::memory_order_acquire);
  return key != 0 && reinterpret_cast<std::uintptr_t>(
                         pthread_getspecific(static_cast<pthread_key_t>(key - 1))) == has_been_told;
}

int call_at_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) noexcept {
  fork_before.store(before, std::memory_order_relaxed);
  fork_in_parent.store(in_parent, std::memory_order_relaxed);
  fork_in_child.store(in_child, std::memory_order_relaxed);
  pthread_once(&fork_once, [] {
    fork_error = pthread_atfork([] { call(fork_before); }, [] { call(fork_in_parent); },
                                [] {
                                  futex_after_fork_in_child();
                                  call(fork_in_child);
                                });
  });
  return fork_error;
}

void* map_for_ever(std::size_t bytes) noexcept {
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

}  // namespace underthread::os
