// os/native_thread.h as the machine has it.
#include "os/native_thread.h"

#include <cerrno>

#include "engine/machine.h"

namespace underthread::os {

using explore::machine;

#define HERE __builtin_return_address(0)

namespace {

// As a pthread_t: not 0, and used again for a later thread.
constexpr std::uintptr_t first_ident = 0x7000;

int number_of(std::uintptr_t ident) {
  return static_cast<int>((ident - first_ident) / 0x100);
}

}  // namespace

int start_thread(void* (*run)(void*), void* argument, std::size_t, bool joinable,
                 std::uintptr_t& ident) {
  // The system may refuse; the row says how often.
  if (machine.may_refuse_thread(HERE)) return EAGAIN;
  const int number = machine.start_thread(run, argument, HERE);
  if (number < 0) return EAGAIN;
  ident = first_ident + static_cast<std::uintptr_t>(machine.ident_of(number)) * 0x100;
  if (!joinable) machine.detach_thread(machine.ident_of(number));
  return 0;
}

bool join_thread(std::uintptr_t ident, std::int64_t) {
  machine.join_thread(number_of(ident), HERE);
  return true;
}

void detach_thread(std::uintptr_t ident) {
  machine.detach_thread(number_of(ident));
}

std::uintptr_t thread_ident() noexcept {
  return first_ident + static_cast<std::uintptr_t>(machine.ident_of(machine.current())) * 0x100;
}

std::uint64_t thread_native_id() noexcept {
  return static_cast<std::uint64_t>(1000 * (machine.forks() + 1) + machine.current());
}

bool is_first_thread() noexcept {
  return machine.current() == machine.first_thread();
}

void set_thread_name(const char*) {}

std::size_t page_size() noexcept {
  return 4096;
}

int call_at_thread_end(void (*ended)(void*), void* argument) noexcept {
  machine.call_at_thread_end(ended, argument);
  return 0;
}

bool thread_end_has_been_told() noexcept {
  return false;
}

bool has_ended(std::uint64_t) noexcept {
  return false;
}

int call_at_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) noexcept {
  machine.call_at_fork(before, in_parent, in_child);
  return 0;
}

void* map_for_ever(std::size_t bytes) noexcept {
  return machine.map_for_ever(bytes);
}

}  // namespace underthread::os
