// In front of every explored source. A compiler makes calls of the C library's functions for what
// the source assigns or clears, and not every compiler that has `-fsanitize=thread` tells of those;
// these would be writes that nobody sees and nobody puts back after the run. For the assembler the
// names are the engine's, whoever wrote the call.
asm("memcpy = __tsan_memcpy");
asm("memmove = __tsan_memmove");
asm("memset = __tsan_memset");
