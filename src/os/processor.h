// What a processor is told by a thread that looks again and again for what another does.
#pragma once

namespace underthread::os {

/// One moment of waiting: it costs less, and the other thread of the same core runs faster.
inline void relax_processor() noexcept {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("isb" ::: "memory");
#endif
}

}  // namespace underthread::os
