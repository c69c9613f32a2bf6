// std::cin whose wait for input is a safe point.
#pragma once

#include <streambuf>

namespace underthread {

/// While it exists std::cin waits so, and reads, from C's stdin as before, so that the two can be
/// mixed. Does nothing where the program has given std::cin another buffer, or it no longer goes
/// with stdio.
class StandardInput {
 public:
  StandardInput();
  ~StandardInput();
  StandardInput(const StandardInput&) = delete;
  StandardInput& operator=(const StandardInput&) = delete;

 private:
  std::streambuf* before_ = nullptr;  ///< null: std::cin was left alone
};

}  // namespace underthread
