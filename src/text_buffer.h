// TextBuffer: text in memory of its own, made without allocation: what a dump says can be said in a
// signal handler too.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace underthread {

/// What has no room is left out, and the text then ends in "...". Async-signal-safe.
class TextBuffer {
 public:
  TextBuffer& operator<<(std::string_view text) noexcept {
    const std::size_t room = bytes_.size() - size_;
    const std::size_t count = std::min(room, text.size());
    std::copy_n(text.begin(), count, bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += count;
    if (count < text.size()) std::fill(bytes_.end() - 3, bytes_.end(), '.');
    return *this;
  }
  TextBuffer& operator<<(std::unsigned_integral auto number) noexcept { return put(number, 10); }
  TextBuffer& put_address(const void* address) noexcept {
    *this << "0x";
    return put(reinterpret_cast<std::uintptr_t>(address), 16);
  }

  std::string_view view() const noexcept { return {bytes_.data(), size_}; }

 private:
  TextBuffer& put(std::uint64_t number, int base) noexcept {
    std::array<char, 20> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr;
    return *this << std::string_view(digits.data(), end);
  }

  // A dump has some of them at a time, on a signal stack of 8 KiB perhaps.
  std::array<char, 320> bytes_{};
  std::size_t size_ = 0;
};

}  // namespace underthread
