// What `-fsanitize=thread` makes a compiler call, without ThreadSanitizer: each atomic operation
// with its memory order, and each plain access. That is how the shipped source is explored
// unchanged: it is compiled with that flag, and linked with this file in place of the sanitizer's
// runtime.
//
// The names and signatures are those of LLVM's tsan_interface*.h, which GCC calls too.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

#include "engine/machine.h"

namespace {

using explore::machine;
using explore::Order;

#define HERE __builtin_return_address(0)

// Newer compilers put hints above the order itself.
Order order_of(int order) {
  return static_cast<Order>(order & 0xFF);
}

template <class T>
std::uintptr_t at(const volatile T* address) {
  return reinterpret_cast<std::uintptr_t>(address);
}

}  // namespace

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
// Said for a library that is not seen. Here it is.
void __tsan_acquire(void*) {}
void __tsan_release(void*) {}

#define PLAIN(size)                                 \
  void __tsan_read##size(void* a) {                 \
    machine.plain(at((char*)a), size, false, HERE); \
  }                                                 \
  void __tsan_write##size(void* a) {                \
    machine.plain(at((char*)a), size, true, HERE);  \
  }                                                 \
  void __tsan_unaligned_read##size(void* a) {       \
    machine.plain(at((char*)a), size, false, HERE); \
  }                                                 \
  void __tsan_unaligned_write##size(void* a) {      \
    machine.plain(at((char*)a), size, true, HERE);  \
  }                                                 \
  void __tsan_volatile_read##size(void* a) {        \
    machine.plain(at((char*)a), size, false, HERE); \
  }                                                 \
  void __tsan_volatile_write##size(void* a) {       \
    machine.plain(at((char*)a), size, true, HERE);  \
  }                                                 \
  void __tsan_read_write##size(void* a) {           \
    machine.plain(at((char*)a), size, true, HERE);  \
  }                                                 \
  void __tsan_unaligned_read_write##size(void* a) { \
    machine.plain(at((char*)a), size, true, HERE);  \
  }
PLAIN(1)
PLAIN(2)
PLAIN(4)
PLAIN(8)
PLAIN(16)

void __tsan_read_range(void* a, std::size_t size) {
  machine.plain(at((char*)a), size, false, HERE);
}
void __tsan_write_range(void* a, std::size_t size) {
  machine.plain(at((char*)a), size, true, HERE);
}
void __tsan_vptr_read(void** a) {
  machine.plain(at(a), sizeof *a, false, HERE);
}
void __tsan_vptr_update(void** a, void* value) {
  // A destructor writes what is there already; that is no change.
  if (*a != value) machine.plain(at(a), sizeof *a, true, HERE);
}

void* __tsan_memcpy(void* to, const void* from, std::size_t size) {
  machine.plain(at((const char*)from), size, false, HERE);
  machine.plain(at((char*)to), size, true, HERE);
  return __builtin_memcpy(to, from, size);
}
void* __tsan_memmove(void* to, const void* from, std::size_t size) {
  machine.plain(at((const char*)from), size, false, HERE);
  machine.plain(at((char*)to), size, true, HERE);
  return __builtin_memmove(to, from, size);
}
void* __tsan_memset(void* to, int value, std::size_t size) {
  machine.plain(at((char*)to), size, true, HERE);
  return __builtin_memset(to, value, size);
}

#define MODIFY(bits, type, name, expression)                                                       \
  type __tsan_atomic##bits##_##name(volatile type* a, type v, int order) {                         \
    return static_cast<type>(machine.modify(                                                       \
        at(a), sizeof *a, order_of(order),                                                         \
        [v](std::uint64_t old) -> std::uint64_t { return static_cast<type>(expression); }, HERE)); \
  }

#define ATOMIC(bits, type)                                                                         \
  type __tsan_atomic##bits##_load(const volatile type* a, int order) {                             \
    return static_cast<type>(machine.load(at(a), sizeof *a, order_of(order), HERE));               \
  }                                                                                                \
  void __tsan_atomic##bits##_store(volatile type* a, type v, int order) {                          \
    machine.store(at(a), sizeof *a, order_of(order), v, HERE);                                     \
  }                                                                                                \
  MODIFY(bits, type, exchange, (static_cast<void>(old), v))                                        \
  MODIFY(bits, type, fetch_add, old + v)                                                           \
  MODIFY(bits, type, fetch_sub, old - v)                                                           \
  MODIFY(bits, type, fetch_and, old& v)                                                            \
  MODIFY(bits, type, fetch_or, old | v)                                                            \
  MODIFY(bits, type, fetch_xor, old ^ v)                                                           \
  MODIFY(bits, type, fetch_nand, ~(old & v))                                                       \
  int __tsan_atomic##bits##_compare_exchange_strong(volatile type* a, type* expected, type fresh,  \
                                                    int success, int failure) {                    \
    std::uint64_t found = *expected;                                                               \
    const bool done = machine.compare_exchange(at(a), sizeof *a, order_of(success),                \
                                               order_of(failure), found, fresh, false, HERE);      \
    if (!done) *expected = static_cast<type>(found);                                               \
    return done;                                                                                   \
  }                                                                                                \
  int __tsan_atomic##bits##_compare_exchange_weak(volatile type* a, type* expected, type fresh,    \
                                                  int success, int failure) {                      \
    std::uint64_t found = *expected;                                                               \
    const bool done = machine.compare_exchange(at(a), sizeof *a, order_of(success),                \
                                               order_of(failure), found, fresh, true, HERE);       \
    if (!done) *expected = static_cast<type>(found);                                               \
    return done;                                                                                   \
  }                                                                                                \
  type __tsan_atomic##bits##_compare_exchange_val(volatile type* a, type expected, type fresh,     \
                                                  int success, int failure) {                      \
    std::uint64_t found = expected;                                                                \
    machine.compare_exchange(at(a), sizeof *a, order_of(success), order_of(failure), found, fresh, \
                             false, HERE);                                                         \
    return static_cast<type>(found);                                                               \
  }
ATOMIC(8, std::uint8_t)
ATOMIC(16, std::uint16_t)
ATOMIC(32, std::uint32_t)
ATOMIC(64, std::uint64_t)

void __tsan_atomic_thread_fence(int order) {
  machine.fence(order_of(order), HERE);
}
void __tsan_atomic_signal_fence(int) {}

}  // extern "C"

// Memory that explored code allocates comes from a heap that is the same in every run, and tells
// what was freed.

void* operator new(std::size_t size) {
  if (void* memory = machine.allocate(size)) return memory;
  if (void* memory = std::malloc(size ? size : 1)) return memory;
  std::abort();
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  if (void* memory = machine.allocate(size)) return memory;
  const auto to = static_cast<std::size_t>(alignment);
  if (void* memory = std::aligned_alloc(to, (size + to - 1) / to * to)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept {
  if (memory && !machine.free(memory)) std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  operator delete(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  operator delete(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  operator delete(memory);
}

// Exceptions too: a run that is not gone on with would leave them behind.

namespace {
constexpr std::size_t exception_header = 128;  // the C++ runtime's, in front of what is thrown
}

extern "C" void* __cxa_allocate_exception(std::size_t size) noexcept {
  void* memory = operator new(exception_header + size);
  __builtin_memset(memory, 0, exception_header);
  return static_cast<char*>(memory) + exception_header;
}

extern "C" void __cxa_free_exception(void* thrown) noexcept {
  operator delete(static_cast<char*>(thrown) - exception_header);
}
