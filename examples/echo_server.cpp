// A TCP echo server that stops cleanly: echo_server [PORT]
//
// One thread, the main one, around epoll. Ctrl-C and SIGTERM are ordinary code: their handler
// throws, out of the epoll_wait that the thread is in or comes to next, and nowhere else. So no
// connection is ever left half handled, and there is no flag, no pipe to oneself, no signalfd and
// no timeout.

#include <underthread/underthread.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <system_error>

#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;

struct Stop {};

int checked(int result, const char* what) {
  if (result == -1) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

class EchoServer {
 public:
  explicit EchoServer(std::uint16_t port)
      : epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
        listener_(
            checked(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), "socket")) {
    const int yes = 1;
    setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    checked(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
    checked(listen(listener_, SOMAXCONN), "listen");
    watch(EPOLL_CTL_ADD, listener_, EPOLLIN);
  }
  ~EchoServer() {
    for (const auto& [fd, connection] : connections_) close(fd);
    close(listener_);
    close(epoll_);
  }
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;

  std::uint16_t port() const {
    sockaddr_in address = {};
    socklen_t size = sizeof address;
    checked(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
    return ntohs(address.sin_port);
  }

  /// Until an interrupt ends it.
  void serve() {
    for (;;) handle_what_is_ready();
  }

  /// Takes nothing more, sends back what it has taken, says that this was all, and waits until the
  /// others have closed too: whoever closes first loses what is on its way.
  void finish() {
    is_finishing_ = true;
    watch(EPOLL_CTL_DEL, listener_, 0);
    for (auto it = connections_.begin(); it != connections_.end();) {
      auto& [fd, connection] = *it++;
      proceed(fd, connection);
    }
    while (!connections_.empty()) handle_what_is_ready();
  }

  std::size_t connections() const { return connections_.size(); }

 private:
  struct Connection {
    std::string owed;  ///< received and not sent back yet
    bool has_ended = false;
  };
  static constexpr std::size_t most_owed = 65536;

  void watch(int operation, int fd, std::uint32_t events) {
    epoll_event event = {};
    event.events = events;
    event.data.fd = fd;
    checked(epoll_ctl(epoll_, operation, fd, &event), "epoll_ctl");
  }

  void handle_what_is_ready() {
    std::array<epoll_event, 64> events;
    const int ready = checked(underthread::interruptible_syscall([&] {
                                return epoll_wait(epoll_, events.data(), events.size(), -1);
                              }),
                              "epoll_wait");
    for (int i = 0; i < ready; ++i) {
      const int fd = events[static_cast<std::size_t>(i)].data.fd;
      if (fd == listener_) {
        accept_all();
      } else {
        Connection& connection = connections_.at(fd);
        receive(fd, connection);
        proceed(fd, connection);
      }
    }
  }

  void accept_all() {
    for (;;) {
      const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      if (fd == -1) return;
      connections_[fd];
      watch(EPOLL_CTL_ADD, fd, EPOLLIN);
    }
  }

  void receive(int fd, Connection& connection) {
    std::array<char, 16384> bytes;
    while (!connection.has_ended && connection.owed.size() < most_owed) {
      const ssize_t got = recv(fd, bytes.data(), bytes.size(), 0);
      if (got == -1 && errno == EAGAIN) return;
      connection.has_ended = got <= 0;
      if (got == -1) connection.owed.clear();  // it is gone
      if (got > 0 && !is_finishing_)
        connection.owed.append(bytes.data(), static_cast<std::size_t>(got));
    }
  }

  /// Sends what the peer takes; closes the connection where nothing more will come either way.
  void proceed(int fd, Connection& connection) {
    while (!connection.owed.empty()) {
      const ssize_t sent = send(fd, connection.owed.data(), connection.owed.size(), MSG_NOSIGNAL);
      if (sent == -1 && errno == EAGAIN) break;
      if (sent == -1) {
        connection.has_ended = true;
        connection.owed.clear();
        break;
      }
      connection.owed.erase(0, static_cast<std::size_t>(sent));
    }
    if (connection.owed.empty() && connection.has_ended) {
      close(fd);
      connections_.erase(fd);
      return;
    }
    if (connection.owed.empty() && is_finishing_) shutdown(fd, SHUT_WR);
    const bool takes = !connection.has_ended && connection.owed.size() < most_owed;
    watch(EPOLL_CTL_MOD, fd,
          (takes ? EPOLLIN : 0u) | (connection.owed.empty() ? 0u : std::uint32_t{EPOLLOUT}));
  }

  int epoll_;
  int listener_;
  std::map<int, Connection> connections_;
  bool is_finishing_ = false;
};

int serve(int argc, char** argv) {
  std::uint16_t port = 0;
  if (argc > 2 || (argc == 2 && std::from_chars(argv[1], argv[1] + std::strlen(argv[1]), port).ec !=
                                    std::errc())) {
    std::fprintf(stderr, "usage: %s [PORT]\n", argv[0]);
    return 2;
  }
  try {
    EchoServer server(port);
    for (const int signum : {SIGINT, SIGTERM})
      underthread::signal(signum, [](int) { throw Stop(); });
    std::printf("listening on port %d\n", server.port());
    std::fflush(stdout);
    try {
      server.serve();
    } catch (const Stop&) {
      std::puts("stopping");
      std::fflush(stdout);
    }
    // Whoever insists is obeyed.
    underthread::signal(SIGINT, underthread::default_int_handler);
    underthread::signal(SIGTERM, underthread::default_action);
    const underthread::TimeLimit limit(1s);
    try {
      server.finish();
    } catch (const underthread::TimeoutError&) {
      std::printf("%zu still connected\n", server.connections());
    }
    return 0;
  } catch (const std::system_error& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
  }
}

}  // namespace

int main(int argc, char** argv) {
  return underthread::run_main(argc, argv, serve);
}
