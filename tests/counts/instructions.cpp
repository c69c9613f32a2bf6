// What test_instructions.py has callgrind count: each work is a function of its own that does one
// thing `turns` times. Its count divided by `turns` is what one turn takes; what comes before and
// after the loop is less than one instruction a turn.
#include <underthread/underthread.h>

#include <cstdio>

namespace underthread {
namespace {

/// Why nothing is counted in this build; empty: it is.
constexpr char why_not[] =
#if defined(UNDERTHREAD_SANITIZED_WITH)
    "built with " UNDERTHREAD_SANITIZED_WITH ", which adds instructions of its own";
#elif !defined(__OPTIMIZE__)
    "built without optimization";
#elif !defined(__x86_64__)
    "the limits are for x86-64: nobody has counted elsewhere";
#else
    "";
#endif

/// The compiler that the limits were counted with; others differ by a few.
#if defined(__GNUC__) && !defined(__clang__) && __GNUC__ == 12
constexpr bool exact = true;
#else
constexpr bool exact = false;
#endif

constexpr int turns = 1'000;

/// No turn may be done in advance, left out, or done together with the next.
template <class Work>
void repeat(Work work) {
  for (int turn = 0; turn < turns; ++turn) {
    work();
    asm volatile("" ::: "memory");
  }
}

/// As if somebody wanted to know it.
template <class Value>
void use(Value value) {
  asm volatile("" ::"r"(value));
}

struct Locks {
  Lock lock;
  Lock held;
  RLock rlock;
  RLock held_rlock;
};

// By their plain names in callgrind's output, and never a part of main.
extern "C" {

[[gnu::noinline]] void nothing(Locks&) {
  repeat([] {});
}

[[gnu::noinline]] void acquire_and_release(Locks& locks) {
  repeat([&] {
    locks.lock.acquire();
    locks.lock.release();
  });
}

[[gnu::noinline]] void lock_and_unlock(Locks& locks) {
  repeat([&] {
    locks.lock.lock();
    locks.lock.unlock();
  });
}

[[gnu::noinline]] void try_and_release(Locks& locks) {
  repeat([&] {
    use(locks.lock.acquire(false));
    locks.lock.release();
  });
}

[[gnu::noinline]] void failing_acquire(Locks& locks) {
  repeat([&] { use(locks.held.acquire(false)); });
}

[[gnu::noinline]] void failing_try_lock(Locks& locks) {
  repeat([&] { use(locks.held.try_lock()); });
}

[[gnu::noinline]] void locked(Locks& locks) {
  repeat([&] { use(locks.held.locked()); });
}

[[gnu::noinline]] void rlock_first_hold(Locks& locks) {
  repeat([&] {
    locks.rlock.acquire();
    locks.rlock.release();
  });
}

[[gnu::noinline]] void rlock_re_entry(Locks& locks) {
  repeat([&] {
    locks.held_rlock.acquire();
    locks.held_rlock.release();
  });
}

[[gnu::noinline]] void ident(Locks&) {
  repeat([] { use(get_ident()); });
}

[[gnu::noinline]] void native_id(Locks&) {
  repeat([] { use(get_native_id()); });
}

}  // extern "C"

struct Work {
  const char* name;
  void (*function)(Locks&);
};

constexpr Work works[] = {
    {"nothing", nothing},
    {"acquire_and_release", acquire_and_release},
    {"lock_and_unlock", lock_and_unlock},
    {"try_and_release", try_and_release},
    {"failing_acquire", failing_acquire},
    {"failing_try_lock", failing_try_lock},
    {"locked", locked},
    {"rlock_first_hold", rlock_first_hold},
    {"rlock_re_entry", rlock_re_entry},
    {"ident", ident},
    {"native_id", native_id},
};

int run() {
  if (why_not[0] != '\0') {
    std::puts(why_not);
    return 77;
  }
  // A thread's first use and its first safe point are another work.
  get_native_id();
  check_interrupts();
  Locks locks;
  locks.held.acquire();
  locks.held_rlock.acquire();
  std::printf(R"({"turns": %d, "exact": %s, "compiler": "%s", "works": [)", turns,
              exact ? "true" : "false", __VERSION__);
  const char* separator = "";
  for (const Work& work : works) {
    work.function(locks);
    std::printf("%s\"%s\"", separator, work.name);
    separator = ", ";
  }
  std::puts("]}");
  return 0;
}

}  // namespace
}  // namespace underthread

int main() {
  return underthread::run();
}
