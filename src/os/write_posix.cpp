#include "os/write.h"

#include <algorithm>
#include <ctime>

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "os/futex.h"

namespace underthread::os {
namespace {

/// A pipe that has room takes as much at once, whether or not it may block.
constexpr std::size_t most_at_once = 4096;
constexpr std::int64_t ms = 1'000'000;

sigset_t sigpipe() noexcept {
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, SIGPIPE);
  return only;
}

}  // namespace

Output::Output(int descriptor) noexcept : descriptor_(descriptor) {
  const sigset_t only = sigpipe();
  pthread_sigmask(SIG_BLOCK, &only, &mask_);
}

Output::~Output() {
  const KeptErrno kept;
  const sigset_t only = sigpipe();
  constexpr timespec at_once = {0, 0};
  if (has_sigpipe_)
    while (sigtimedwait(&only, nullptr, &at_once) < 0 && errno == EINTR) {
    }
  pthread_sigmask(SIG_SETMASK, &mask_, nullptr);
}

bool Output::write(std::string_view text) noexcept {
  const KeptErrno kept;
  while (!text.empty() && !is_broken_) {
    const std::int64_t before = now();
    pollfd room = {descriptor_, POLLOUT, 0};
    const int found = poll(&room, 1, static_cast<int>(patience_ / ms));
    patience_ -= now() - before;
    if (patience_ < 0) patience_ = 0;
    if (found == 0) {
      is_broken_ = true;
      break;
    }
    const ssize_t written =
        found < 0 ? -1 : ::write(descriptor_, text.data(), std::min(text.size(), most_at_once));
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno != EINTR && errno != EAGAIN) {
      is_broken_ = true;
      // Another's would have ended the program before, or is blocked and pending since then: that
      // it is one signal with ours cannot be told apart.
      has_sigpipe_ = errno == EPIPE;
    }
  }
  return text.empty();
}

}  // namespace underthread::os
