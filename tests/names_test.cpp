// The names and shapes that the project promises (issue 2), as a program that uses each would write
// them: if one changes, this file stops compiling.
#include <underthread/underthread.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include <gtest/gtest.h>

namespace {

using namespace std::chrono_literals;

static_assert(std::is_unsigned_v<underthread::Ident> &&
              sizeof(underthread::Ident) == sizeof(void*));
static_assert(std::is_same_v<underthread::LockType, underthread::Lock>);
static_assert(sizeof(underthread::Lock) == 4);
static_assert(std::is_same_v<decltype(underthread::TIMEOUT_MAX), const double>);
static_assert(std::is_base_of_v<std::runtime_error, underthread::error>);

static_assert(std::is_same_v<decltype(underthread::start_new_thread([] {})), underthread::Ident>);
static_assert(std::is_same_v<decltype(underthread::get_ident()), underthread::Ident>);
static_assert(std::is_same_v<decltype(underthread::stack_size()), std::size_t>);
static_assert(std::is_same_v<decltype(underthread::stack_size(0)), std::size_t>);
static_assert(std::is_same_v<decltype(underthread::allocate_lock()), underthread::Lock>);

template <class L>
concept DocumentedLock = requires(L& lock, const L& seen) {
  { lock.acquire() } -> std::same_as<bool>;
  { lock.acquire(true) } -> std::same_as<bool>;
  { lock.acquire(true, -1) } -> std::same_as<bool>;
  { lock.acquire(true, 0.5) } -> std::same_as<bool>;
  { lock.acquire(true, std::chrono::milliseconds(5)) } -> std::same_as<bool>;
  { lock.release() } -> std::same_as<void>;
  { seen.locked() } -> std::same_as<bool>;
  { lock.lock() } -> std::same_as<void>;
  { lock.unlock() } -> std::same_as<void>;
  { lock.try_lock() } -> std::same_as<bool>;
  { lock.try_lock_for(std::chrono::seconds(1)) } -> std::same_as<bool>;
  { lock.try_lock_until(std::chrono::steady_clock::now()) } -> std::same_as<bool>;
  { lock.try_lock_until(std::chrono::system_clock::now()) } -> std::same_as<bool>;
};
static_assert(DocumentedLock<underthread::Lock>);
static_assert(DocumentedLock<underthread::RLock>);

template <class T>
concept JoinableThread = requires(const T& thread) {
  thread.join();
  { thread.join(1.5) } -> std::same_as<bool>;
  { thread.join(5ms) } -> std::same_as<bool>;
  { thread.is_done() } -> std::same_as<bool>;
  { thread.ident() } -> std::same_as<underthread::Ident>;
  { thread.native_id() } -> std::integral;
  { thread.name() } -> std::convertible_to<std::string>;
};
static_assert(JoinableThread<underthread::Thread>);
static_assert(std::is_nothrow_move_constructible_v<underthread::Thread>);
static_assert(!std::is_copy_constructible_v<underthread::Thread>);

TEST(Names, TheDocumentsModule) {
  underthread::Lock done = underthread::allocate_lock();
  done.acquire();
  const underthread::Ident ident = underthread::start_new_thread(
      [&done](int a, int b) {
        EXPECT_EQ(a + b, 3);
        EXPECT_NE(underthread::get_native_id(), 0u);
        done.release();
        underthread::exit();
      },
      1, 2);
  EXPECT_NE(ident, 0u);
  EXPECT_TRUE(done.acquire(true, underthread::TIMEOUT_MAX));
  EXPECT_EQ(underthread::stack_size(65536), 0u);
  EXPECT_EQ(underthread::stack_size(0), 65536u);
}

TEST(Names, ThreadsAndTheirOptions) {
  underthread::Thread plain([] {});
  underthread::Thread with_options(
      underthread::ThreadOptions{.stack_size = 262144, .name = "worker"}, [](int) {}, 5);
  plain.join();
  EXPECT_TRUE(with_options.join(10s));
  EXPECT_EQ(with_options.name(), "worker");
  underthread::ExceptHook before =
      underthread::set_excepthook([](const underthread::ExceptHookArgs&) {});
  underthread::set_excepthook(before);
}

TEST(Names, LocksInTheStandardsTools) {
  underthread::Lock a;
  underthread::RLock b;
  std::scoped_lock both(a, b);
  std::condition_variable_any changed;
  underthread::Lock c;
  std::unique_lock guard(c);
  changed.wait_for(guard, 1ms);
}

TEST(Names, InterruptsAndSignals) {
  using underthread::Handler;
  const Handler before = underthread::signal(SIGUSR1, underthread::default_int_handler);
  EXPECT_TRUE(before == underthread::default_action);
  underthread::interrupt_main(SIGUSR1);
  EXPECT_THROW(underthread::check_interrupts(), underthread::KeyboardInterrupt);
  underthread::signal(SIGUSR1, [](int) {});
  underthread::signal(SIGUSR1, underthread::ignore);
  underthread::signal(SIGUSR1, underthread::default_action);
  underthread::interrupt_main();
  underthread::sleep_for(1ms);
  underthread::sleep_until(std::chrono::steady_clock::now());
  EXPECT_TRUE(underthread::interrupt(underthread::get_ident(),
                                     std::make_exception_ptr(std::runtime_error("stop"))));
  {
    const underthread::HoldInterrupts hold;
    underthread::check_interrupts();
  }
  EXPECT_THROW(underthread::check_interrupts(), std::runtime_error);
}

namespace with_using {
using namespace underthread;
template <class H>
concept TakenUnqualified = requires(H handler) {
  signal(SIGINT, handler);
};
// C's `signal` takes functions too, and would call them inside the signal handler: no silent
// choice.
static_assert(!TakenUnqualified<void (*)(int)>);
static_assert(TakenUnqualified<DefaultAction>);
using Lambda = decltype([](int) {});
static_assert(TakenUnqualified<Lambda>);
static_assert(std::is_same_v<decltype(signal(SIGUSR1, Lambda())), Handler>);
}  // namespace with_using

int program(int argc, char**) {
  return argc;
}

TEST(Names, RunMain) {
  EXPECT_EQ(underthread::run_main(1, nullptr, program), 1);
}

}  // namespace
