#include "os/native_thread.h"

#include <atomic>
#include <cerrno>
#include <cstring>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/fatal.h"
#include "os/futex.h"

namespace underthread::os {
namespace {

constinit pthread_once_t end_once = PTHREAD_ONCE_INIT;
constinit pthread_key_t end_key{};
constinit int end_error = 0;
// The same at every call; relaxed: pthread_once orders it.
constinit std::atomic<void (*)(void*)> end_function{nullptr};

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

void join_thread(std::uintptr_t ident) {
  if (const int error = pthread_join(static_cast<pthread_t>(ident), nullptr); error != 0)
    fatal("pthread_join", error);
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
  end_function.store(ended, std::memory_order_relaxed);
  pthread_once(&end_once, [] {
    end_error = pthread_key_create(&end_key, end_function.load(std::memory_order_relaxed));
  });
  if (end_error != 0) return end_error;
  return pthread_setspecific(end_key, argument);
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
