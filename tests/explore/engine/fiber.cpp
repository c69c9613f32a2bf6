#include "engine/fiber.h"

#include <cstdint>

#if defined(__x86_64__)

// rdi: where to save the stack pointer, rsi: the one to go on with. The registers that a call keeps
// are on the stack; the compiler has saved the others.
extern "C" void explore_change_stack(void** save, void* load) noexcept;
__asm__(
    ".text\n"
    ".globl explore_change_stack\n"
    ".type explore_change_stack, @function\n"
    "explore_change_stack:\n"
    "  pushq %rbp\n  pushq %rbx\n  pushq %r12\n  pushq %r13\n  pushq %r14\n  pushq %r15\n"
    "  movq %rsp, (%rdi)\n"
    "  movq %rsi, %rsp\n"
    "  popq %r15\n  popq %r14\n  popq %r13\n  popq %r12\n  popq %rbx\n  popq %rbp\n"
    "  ret\n"
    ".size explore_change_stack, . - explore_change_stack\n");

namespace explore {

void Fiber::prepare(void* stack, std::size_t size, void (*enter)()) noexcept {
  auto* top = reinterpret_cast<std::uint64_t*>(static_cast<char*>(stack) + size);
  // As after a call: 8 below a multiple of 16, with a null return address that ends a backtrace.
  *--top = 0;
  *--top = reinterpret_cast<std::uint64_t>(enter);
  for (int registers = 0; registers < 6; ++registers) *--top = 0;
  stack_pointer_ = top;
}

void Fiber::change(Fiber& from, Fiber& to) noexcept {
  explore_change_stack(&from.stack_pointer_, to.stack_pointer_);
}

}  // namespace explore

#else

#include <ucontext.h>

#include <cstdlib>

namespace explore {

struct Fiber::Context {
  ucontext_t of;
};

void Fiber::prepare(void* stack, std::size_t size, void (*enter)()) noexcept {
  if (!context_) context_ = static_cast<Context*>(std::calloc(1, sizeof(Context)));
  getcontext(&context_->of);
  context_->of.uc_stack.ss_sp = stack;
  context_->of.uc_stack.ss_size = size;
  context_->of.uc_link = nullptr;
  makecontext(&context_->of, enter, 0);
}

void Fiber::change(Fiber& from, Fiber& to) noexcept {
  if (!from.context_) from.context_ = static_cast<Context*>(std::calloc(1, sizeof(Context)));
  swapcontext(&from.context_->of, &to.context_->of);
}

}  // namespace explore

#endif
