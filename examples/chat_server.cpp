// A chat with a thread for each client: chat_server [PORT [IDLE_SECONDS]]
//
// Each thread waits for its client, by plain blocking calls; nothing is polled. Ctrl-C and SIGTERM
// throw Stop in the main thread, out of the `accept` that it is in or comes to next. Its threads
// are to end with their scope (AtScopeEnd::interrupt): each is interrupted where it waits, its
// destructors close its connection, and it is joined. A client that says nothing for too long meets
// a TimeLimit.

#include <underthread/underthread.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <system_error>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace {

using namespace std::chrono_literals;
using underthread::AtScopeEnd;
using underthread::Lock;
using underthread::Thread;
using underthread::TimeLimit;
using underthread::With;

struct Stop {};

int checked(int result, const char* what) {
  if (result == -1) throw std::system_error(errno, std::generic_category(), what);
  return result;
}

class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() { close(fd_); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

/// False: it does not take all of that now.
bool tell(int fd, std::string_view text) {
  return send(fd, text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
         static_cast<ssize_t>(text.size());
}

/// Who is there. Any thread.
class Room {
 public:
  /// While it exists its client gets what the others say.
  class Seat {
   public:
    Seat(Room& room, int fd) : room_(room), fd_(fd) {
      const With with(room_.lock_);
      number_ = ++room_.last_number_;
      room_.seats_[number_] = fd_;
    }
    ~Seat() {
      // The standard's guard, since no interrupt is to leave from here.
      const std::scoped_lock locked(room_.lock_);
      room_.seats_.erase(number_);
    }
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;

    int number() const { return number_; }

    void say(std::string_view line) {
      const std::string said = std::to_string(number_) + ": " + std::string(line) + "\n";
      const With with(room_.lock_);
      for (const auto& [number, fd] : room_.seats_) {
        if (number == number_) continue;
        // Whoever does not listen is not waited for: its own thread finds that the connection ends.
        if (!tell(fd, said)) shutdown(fd, SHUT_RDWR);
      }
    }

   private:
    Room& room_;
    int fd_;
    int number_ = 0;
  };

 private:
  Lock lock_;
  std::map<int, int> seats_;
  int last_number_ = 0;
};

/// In a thread of its own: until the client goes, says nothing for `idle`, or the thread is
/// interrupted.
void serve(Room& room, const Socket& client, std::chrono::seconds idle) {
  Room::Seat seat(room, client.fd());
  tell(client.fd(), "you are " + std::to_string(seat.number()) + "\n");
  std::string received;
  std::array<char, 4096> piece;
  try {
    for (;;) {
      const TimeLimit limit(idle);
      const ssize_t got = underthread::interruptible_syscall(
          [&] { return recv(client.fd(), piece.data(), piece.size(), 0); });
      if (got <= 0) return;
      received.append(piece.data(), static_cast<std::size_t>(got));
      std::size_t end = 0;
      for (std::size_t line; (line = received.find('\n', end)) != received.npos; end = line + 1)
        seat.say(std::string_view(received).substr(end, line - end));
      received.erase(0, end);
      if (received.size() > 65536) return;
    }
  } catch (const underthread::TimeoutError&) {
    tell(client.fd(), "you have said nothing for too long\n");
  }
}

int listen_at(std::uint16_t port) {
  const int listener = checked(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  const int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  checked(bind(listener, reinterpret_cast<sockaddr*>(&address), size), "bind");
  checked(listen(listener, SOMAXCONN), "listen");
  checked(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  std::printf("listening on port %d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return listener;
}

void accept_all(const Socket& listener, std::chrono::seconds idle) {
  Room room;
  std::list<Thread> threads;
  for (;;) {
    const int fd = underthread::interruptible_syscall(
        [&] { return accept4(listener.fd(), nullptr, nullptr, SOCK_CLOEXEC); });
    if (fd == -1) {
      // It has gone again, or there is no descriptor for it until another has gone.
      underthread::sleep_for(10ms);
      continue;
    }
    const auto client = std::make_shared<Socket>(fd);
    threads.remove_if([](const Thread& thread) { return thread.is_done(); });
    try {
      threads.emplace_back(
          underthread::ThreadOptions{
              .stack_size = 256 << 10, .name = "client", .at_scope_end = AtScopeEnd::interrupt},
          [&room, client, idle] { serve(room, *client, idle); });
    } catch (const underthread::error& full) {
      std::fprintf(stderr, "%s\n", full.what());  // which limit was hit
    }
  }
}

bool read_number(const char* text, auto& number) {
  return std::from_chars(text, text + std::strlen(text), number).ec == std::errc();
}

int run(int argc, char** argv) {
  std::uint16_t port = 0;
  int idle = 600;
  if (argc > 3 || (argc > 1 && !read_number(argv[1], port)) ||
      (argc > 2 && !read_number(argv[2], idle))) {
    std::fprintf(stderr, "usage: %s [PORT [IDLE_SECONDS]]\n", argv[0]);
    return 2;
  }
  try {
    for (const int signum : {SIGINT, SIGTERM})
      underthread::signal(signum, [](int) { throw Stop(); });
    const Socket listener(listen_at(port));
    accept_all(listener, std::chrono::seconds(idle));
  } catch (const Stop&) {
    // Its threads have ended. A second signal has nothing to end any more, also one that came
    // meanwhile.
    for (const int signum : {SIGINT, SIGTERM}) underthread::signal(signum, underthread::ignore);
    while (underthread::take_interrupt()) {
    }
    std::puts("stopped");
  } catch (const std::system_error& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  return underthread::run_main(argc, argv, run);
}
