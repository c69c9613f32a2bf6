#include "os/stdio_buffer.h"

#include <cerrno>

#include <fcntl.h>
#include <poll.h>
#ifdef __GLIBCXX__
#include <ext/stdio_sync_filebuf.h>
#endif

namespace underthread::os {

std::size_t buffered_input(std::FILE* file) noexcept {
#ifdef __GLIBC__
  return static_cast<std::size_t>(file->_IO_read_end - file->_IO_read_ptr);
#else
  static_cast<void>(file);
  return 0;
#endif
}

bool await_input(std::FILE* file) {
  const int saved = errno;
  const int descriptor = fileno(file);
  const int flags = descriptor >= 0 ? fcntl(descriptor, F_GETFL) : -1;
  bool is_interrupted = false;
  if (flags != -1 && (flags & O_NONBLOCK) == 0) {
    pollfd input{.fd = descriptor, .events = POLLIN, .revents = 0};
    is_interrupted = poll(&input, 1, -1) == -1 && errno == EINTR;
  }
  errno = saved;
  return !is_interrupted;
}

bool is_stdio_buffer(const std::streambuf* buffer) noexcept {
#ifdef __GLIBCXX__
  return dynamic_cast<const __gnu_cxx::stdio_sync_filebuf<char>*>(buffer) != nullptr;
#else
  static_cast<void>(buffer);
  return false;
#endif
}

}  // namespace underthread::os
