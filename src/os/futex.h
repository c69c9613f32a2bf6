// All that the core needs of the kernel to wait: sleep while a word has a value, wake who does,
// tell the time, and pass the time. One file per system implements it (futex_linux.cpp,
// futex_pthread.cpp), chosen in CMakeLists.txt; a checker links its own.
#pragma once

#include <atomic>
#include <cstdint>

namespace underthread::os {

enum class FutexEnd : std::uint8_t {
  woken,      ///< by a wake; or the word differed; or for no reason: look at the word again
  timed_out,  ///< `until` has come
  signalled,  ///< a signal handler ran in this thread while it slept
};

/// Sleeps while `word == expected`. The comparison and falling asleep are one step: a change
/// followed by a wake is never missed.
/// @param until  ns of the monotonic clock; INT64_MAX: for ever; in the past: returns at once
FutexEnd futex_wait(std::atomic<std::uint32_t>& word, std::uint32_t expected,
                    std::int64_t until) noexcept;

/// Wakes one thread that sleeps on `word`, if one does. The word need not exist any more: its
/// address is only compared. Async-signal-safe.
void futex_wake_one(std::atomic<std::uint32_t>& word) noexcept;

/// Forgets all sleepers: in the child of a fork there are none.
void futex_after_fork_in_child() noexcept;

/// The monotonic clock, in ns; the one that std::chrono::steady_clock reads. Always above 0.
std::int64_t now() noexcept;

/// One turn of a spin: tells the processor that we wait for another thread.
void relax() noexcept;

/// How many turns of `relax` a thread spins before it sleeps, where it may and knows nothing
/// better: a microsecond or two. Waking an idle core costs 10 to 60 us on a virtual machine, so
/// what comes within a few microseconds is cheaper to spin for; much longer and the spinners starve
/// those asleep.
extern const std::uint32_t spin_limit;
/// The same, at most: about as long as it takes to wake an idle core, 20 to 50 us.
extern const std::uint32_t spin_most;

}  // namespace underthread::os
