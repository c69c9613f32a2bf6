// PostMortem: where in the library's memory threads, waits and names of locks are, for a debugger
// (gdb/underthread-gdb.py) that looks at a core file or at a process that hangs.
//
// Release programs have no debug information, and often no symbols. So the library has a table in
// it: names, and for each an address, an offset or a mask. It is found in memory by the text that
// it begins with; each copy of the library in a process has its own. All of it is constant and made
// by the compiler from the declarations themselves, so it cannot be out of date, and costs nothing.
//
// Add a row for what a reader needs more: a script that knows more rows than the library says so.
// Where a row means something else than before, raise `current_version`, here and in the script.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace underthread {

struct PostMortem {
  static constexpr std::uint32_t current_version = 1;
  static constexpr std::size_t row_count = 28;

  struct Row {
    /// As wide as a pointer.
    union Value {
      constexpr Value(std::uintptr_t value) noexcept : number(value) {}
      constexpr Value(const void* value) noexcept : address(value) {}
      std::uintptr_t number;
      const void* address;
    };
    std::array<char, 24> name;
    Value value;
  };

  std::array<char, 24> magic;
  std::uint32_t version;
  std::uint32_t word_size;  ///< of a pointer, in bytes
  std::uint32_t rows_size;  ///< how many rows
  std::uint32_t unused;
  /// A copy, as in a file that was read into memory, is known by it.
  const PostMortem* self;
  std::array<Row, row_count> rows;
};

extern const PostMortem post_mortem;

}  // namespace underthread
