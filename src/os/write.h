// Writing to a descriptor whatever state the program is in.
#pragma once

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <string_view>

namespace underthread::os {

/// errno is after this as it was before.
class KeptErrno {
 public:
  KeptErrno() noexcept = default;
  ~KeptErrno() { errno = value_; }
  KeptErrno(const KeptErrno&) = delete;
  KeptErrno& operator=(const KeptErrno&) = delete;

 private:
  const int value_ = errno;
};

/// Writes to a descriptor. That nobody reads it any more is no signal: SIGPIPE is blocked while
/// this exists, and taken away. Where there is no room it waits for that, for two seconds in all: a
/// full pipe or a terminal that is stopped holds nobody up for ever. Async-signal-safe; in the
/// thread that made it.
class Output {
 public:
  explicit Output(int descriptor) noexcept;
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  /// All of it, however many calls that takes. @return false: not all of it could be written; from
  /// then on nothing is
  bool write(std::string_view text) noexcept;

 private:
  const int descriptor_;
  bool is_broken_ = false;
  bool has_sigpipe_ = false;
  std::int64_t patience_ = 2'000'000'000;  ///< ns
  sigset_t mask_;
};

}  // namespace underthread::os
