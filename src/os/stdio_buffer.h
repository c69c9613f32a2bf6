// What the C and C++ libraries do not say of their buffers for standard input.
#pragma once

#include <cstddef>
#include <cstdio>
#include <streambuf>

namespace underthread::os {

/// How many characters `getc` and its like would give at once, without a system call. 0 where that
/// cannot be told.
std::size_t buffered_input(std::FILE* file) noexcept;

/// Waits until `getc` need not wait, or might fail. False: a signal came first. Returns at once
/// where the file is not to be waited for, or is none of the system's. errno stays as it was.
bool await_input(std::FILE* file);

/// Whether a stream with that buffer goes with C's stdio, character by character.
bool is_stdio_buffer(const std::streambuf* buffer) noexcept;

}  // namespace underthread::os
