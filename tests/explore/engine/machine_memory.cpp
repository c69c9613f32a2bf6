// What the hooks tell: atomic operations, plain accesses, the heap.

#include <cstring>

#include "engine/machine.h"

namespace explore {
namespace {

constexpr std::size_t header = 64;

std::uint64_t raw(std::uintptr_t address, unsigned size) {
  std::uint64_t value = 0;
  std::memcpy(&value, reinterpret_cast<const void*>(address), size);
  return value;
}

}  // namespace

void Machine::check(const char* wrong, void* pc, std::uintptr_t address) {
  if (!wrong) return;
  // Plain accesses are no events, but for the one that is wrong.
  if (address != 0) record(Event::What::touches, pc, address);
  fail(wrong);
}

std::uint64_t Machine::load(std::uintptr_t address, unsigned size, Order order, void* pc) {
  if (!exploring()) return raw(address, size);
  point(pc);
  const Memory::Done done = memory.load(current_, address, size, order);
  record(Event::What::load, pc, address, done.value, 0, size, order);
  check(done.wrong, pc);
  return done.value;
}

void Machine::store(std::uintptr_t address, unsigned size, Order order, std::uint64_t value,
                    void* pc) {
  if (!exploring()) {
    plain(address, size, true, pc);
    std::memcpy(reinterpret_cast<void*>(address), &value, size);
    return;
  }
  point(pc);
  const Memory::Done done = memory.store(current_, address, size, order, value);
  record(Event::What::store, pc, address, value, 0, size, order);
  check(done.wrong, pc);
}

std::uint64_t Machine::modify(std::uintptr_t address, unsigned size, Order order,
                              Memory::Change change, void* pc) {
  if (!exploring()) {
    plain(address, size, true, pc);
    const std::uint64_t old = raw(address, size);
    const std::uint64_t fresh = change(old);
    std::memcpy(reinterpret_cast<void*>(address), &fresh, size);
    return old;
  }
  point(pc);
  std::uint64_t fresh = 0;
  const Memory::Done done = memory.modify(current_, address, size, order, [&](std::uint64_t old) {
    fresh = change(old);
    return fresh;
  });
  record(Event::What::modify, pc, address, done.value, fresh, size, order);
  check(done.wrong, pc);
  return done.value;
}

bool Machine::compare_exchange(std::uintptr_t address, unsigned size, Order success, Order failure,
                               std::uint64_t& expected, std::uint64_t fresh, bool weak, void* pc) {
  if (!exploring()) {
    plain(address, size, true, pc);
    const std::uint64_t old = raw(address, size);
    const bool same = old == expected;
    if (same) std::memcpy(reinterpret_cast<void*>(address), &fresh, size);
    expected = old;
    return same;
  }
  point(pc);
  if (weak && left_.weak > 0 && raw(address, size) == expected && choices.pick(2) == 1) {
    --left_.weak;
    const Memory::Done done = memory.load(current_, address, size, failure);
    memory.learn(current_, 0x7765616B);
    record(Event::What::compare_fails, pc, address, done.value, fresh, size, failure);
    check(done.wrong, pc);
    // Having failed for no reason, it still reads what it was compared with.
    if (done.value == expected) return false;
    expected = done.value;
    return false;
  }
  const Memory::Done done =
      memory.compare_exchange(current_, address, size, success, failure, expected, fresh);
  record(done.stored ? Event::What::modify : Event::What::compare_fails, pc, address, done.value,
         fresh, size, done.stored ? success : failure);
  check(done.wrong, pc);
  expected = done.value;
  return done.stored;
}

void Machine::fence(Order order, void* pc) {
  if (!exploring()) return;
  point(pc);
  memory.fence(current_, order);
  record(Event::What::fence, pc, 0, 0, 0, 0, order);
}

void Machine::plain(std::uintptr_t address, std::size_t size, bool is_write, void* pc) {
  if (mode_ == Mode::outside || size == 0) return;
  if (mode_ == Mode::exploring && ++accesses_ > access_limit) check("runs for ever", pc);
  const std::ptrdiff_t index = space_.granule_of(address);
  if (index < 0) return;
  const int stack = space_.stack_of(address);
  if (stack >= 0) {
    if (mode_ == Mode::exploring && stack != current_)
      check("touches another thread's stack", pc, address);
    return;
  }
  if (is_write) {
    const auto last = static_cast<std::size_t>(space_.granule_of(address + size - 1));
    for (auto i = static_cast<std::size_t>(index); i <= last; ++i) space_.save(i);
  }
  if (mode_ == Mode::exploring) check(memory.plain(current_, address, size, is_write), pc, address);
}

void* Machine::allocate(std::size_t bytes) {
  if (mode_ == Mode::outside) return nullptr;
  // Its size stands before it, for `free`.
  void* start = space_.allocate(mode_ == Mode::alone ? director : current_, header + bytes);
  if (!start) fail("out of memory: a run may use 1 MiB for each thread");
  std::memcpy(start, &bytes, sizeof bytes);
  return static_cast<char*>(start) + header;
}

bool Machine::free(void* address) {
  const auto where = reinterpret_cast<std::uintptr_t>(address);
  if (!space_.is_heap(where)) return false;
  std::size_t bytes = 0;
  std::memcpy(&bytes, static_cast<char*>(address) - header, sizeof bytes);
  if (mode_ == Mode::exploring) check(memory.freed(current_, where, bytes), nullptr, where);
  return true;
}

}  // namespace explore
