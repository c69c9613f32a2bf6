#include "os/write.h"

#include <ctime>

#include <poll.h>
#include <pthread.h>
#include <unistd.h>

namespace underthread::os {
namespace {

constexpr int patience_ms = 2'000;

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
    const ssize_t written = ::write(descriptor_, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd room = {descriptor_, POLLOUT, 0};
      is_broken_ = poll(&room, 1, patience_ms) == 0;
    } else if (errno != EINTR) {
      is_broken_ = true;
      // Another's would have ended the program before, or is blocked and pending since then: that
      // it is one signal with ours cannot be told apart.
      has_sigpipe_ = errno == EPIPE;
    }
  }
  return text.empty();
}

}  // namespace underthread::os
