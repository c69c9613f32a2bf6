// A main that waits for std::cin under run_main: handlers run there, and no line is lost.
#include <underthread/underthread.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <utility>

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_support.h"

namespace underthread {
namespace {

using testing::eventually;

/// A process that runs `main` under run_main, with pipes for its standard input and output.
class Program {
 public:
  explicit Program(int (*main)(int, char**)) {
    int in[2];
    int out[2];
    EXPECT_EQ(pipe(in), 0);
    EXPECT_EQ(pipe(out), 0);
    child_ = fork();
    if (child_ == 0) {
      dup2(in[0], STDIN_FILENO);
      dup2(out[1], STDOUT_FILENO);
      for (const int end : {in[0], in[1], out[0], out[1]}) close(end);
      if (!std::freopen("/dev/null", "w", stderr)) _exit(99);
      std::exit(run_main(0, nullptr, main));
    }
    close(in[0]);
    close(out[1]);
    to_ = in[1];
    from_ = out[0];
  }
  ~Program() {
    if (to_ >= 0) close(to_);
    close(from_);
    if (child_ > 0) kill(child_, SIGKILL), waitpid(child_, nullptr, 0);
  }
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  void type(const std::string& text) {
    EXPECT_EQ(write(to_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  void type_nothing_more() {
    close(to_);
    to_ = -1;
  }
  std::string line() {
    std::string text;
    for (char c = 0; read(from_, &c, 1) == 1 && c != '\n';) text += c;
    return text;
  }
  /// Once it sleeps: in a read, since that is all that it does.
  void send(int signum) {
    EXPECT_TRUE(eventually([this] {
      std::ifstream status("/proc/" + std::to_string(child_) + "/stat");
      std::string number, name, state;
      status >> number >> name >> state;
      return state == "S";
    }));
    kill(child_, signum);
  }
  int status() {
    int status = 0;
    waitpid(std::exchange(child_, 0), &status, 0);
    return status;
  }

 private:
  pid_t child_ = 0;
  int to_ = -1;
  int from_ = -1;
};

void say(const std::string& text) {
  std::printf("%s\n", text.c_str());
  std::fflush(stdout);
}

int echo(int, char**) {
  signal(SIGHUP, [](int) { say("reload"); });
  say("ready");
  for (std::string line; std::getline(std::cin, line);) say("got " + line);
  say("end");
  check_interrupts();
  say("nothing came");
  return 0;
}

TEST(StandardInput, AHandlerRunsWhileALineIsAwaitedAndTheLoopGoesOn) {
  Program program(echo);
  EXPECT_EQ(program.line(), "ready");
  program.type("one\ntw");
  EXPECT_EQ(program.line(), "got one");
  program.send(SIGHUP);
  EXPECT_EQ(program.line(), "reload");
  program.type("o\nthree");
  EXPECT_EQ(program.line(), "got two");
  program.send(SIGHUP);
  EXPECT_EQ(program.line(), "reload");
  program.type_nothing_more();
  EXPECT_EQ(program.line(), "got three");
  EXPECT_EQ(program.line(), "end");
  EXPECT_EQ(program.line(), "nothing came");
  EXPECT_EQ(program.status(), 0);
}

TEST(StandardInput, CtrlCEndsTheInputAndIsThrownAtTheNextSafePoint) {
  Program program(echo);
  EXPECT_EQ(program.line(), "ready");
  program.send(SIGINT);
  EXPECT_EQ(program.line(), "end");
  EXPECT_EQ(program.line(), "");
  const int status = program.status();
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << status;
}

TEST(StandardInput, CsFunctionsAndTheStreamReadTheSameInput) {
  Program program([](int, char**) {
    say("ready");
    std::string word;
    std::cin >> word;
    say(word);
    char rest[16] = {};
    if (std::fgets(rest, sizeof rest, stdin)) say(rest);
    int number = 0;
    std::cin >> number;
    std::cin.get();
    std::cin.unget();
    const int next = std::cin.get();
    say(std::to_string(number + next));
    return 0;
  });
  EXPECT_EQ(program.line(), "ready");
  program.type("one two\n3\n");
  EXPECT_EQ(program.line(), "one");
  EXPECT_EQ(program.line(), " two");
  EXPECT_EQ(program.line(), "");
  EXPECT_EQ(program.line(), std::to_string(3 + '\n'));
  EXPECT_EQ(program.status(), 0);
}

TEST(StandardInput, HasItsOwnBufferAgainBehindRunMainAndOneOfTheProgramsStays) {
  std::streambuf* const before = std::cin.rdbuf();
  EXPECT_EQ(run_main(0, nullptr, [](int, char**) { return 0; }), 0);
  EXPECT_EQ(std::cin.rdbuf(), before);
  static std::stringbuf own("text");
  std::cin.rdbuf(&own);
  EXPECT_EQ(run_main(0, nullptr, [](int, char**) { return std::cin.rdbuf() == &own ? 7 : 8; }), 7);
  EXPECT_EQ(std::cin.rdbuf(), &own);
  std::cin.rdbuf(before);
}

TEST(StandardInput, ALimitThatIsOverEndsTheInputAndIsThrownInItsBlockAlone) {
  Program program([](int, char**) {
    std::string line;
    {
      const TimeLimit limit(std::chrono::milliseconds(20));
      if (std::getline(std::cin, line)) return 1;
      try {
        check_interrupts();
      } catch (const TimeoutError&) {
        say("over");
      }
    }
    std::cin.clear();
    {
      const TimeLimit limit(std::chrono::milliseconds(20));
      if (std::getline(std::cin, line)) return 2;
    }
    check_interrupts();
    std::cin.clear();
    say("left");
    std::getline(std::cin, line);
    say("got " + line);
    return 0;
  });
  EXPECT_EQ(program.line(), "over");
  EXPECT_EQ(program.line(), "left");
  program.type("one\n");
  EXPECT_EQ(program.line(), "got one");
  EXPECT_EQ(program.status(), 0);
}

TEST(StandardInput, OfAFileCanBeSoughtAndReadInBulk) {
  std::string path = (std::filesystem::temp_directory_path() / "input-XXXXXX").string();
  close(mkstemp(path.data()));
  std::string text;
  for (int number = 0; number < 50'000; ++number) text += std::to_string(number) + "\n";
  std::ofstream(path) << text;
  const pid_t child = fork();
  if (child == 0) {
    if (!std::freopen(path.c_str(), "r", stdin)) _exit(99);
    static std::size_t size = 0;
    size = text.size();
    _exit(run_main(0, nullptr, [](int, char**) {
      std::string line;
      std::getline(std::cin, line);
      if (std::cin.tellg() != std::streampos(2)) return 1;
      std::string all(size - 2, ' ');
      if (!std::cin.read(all.data(), static_cast<std::streamsize>(all.size()))) return 2;
      if (all.substr(0, 4) != "1\n2\n" || all.substr(all.size() - 7) != "\n49999\n") return 3;
      if (std::cin.get() != std::char_traits<char>::eof()) return 4;
      std::cin.clear();
      std::cin.seekg(0);
      std::getline(std::cin, line);
      return line == "0" ? 0 : 5;
    }));
  }
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT_EQ(WEXITSTATUS(status), 0);
  std::filesystem::remove(path);
}

TEST(StandardInput, IsReadAsEverWhereNoCallCanBeMadeInterruptible) {
  Program program([](int argc, char** argv) {
    setenv("UNDERTHREAD_NUDGE", "nonsense", 1);
    return echo(argc, argv);
  });
  EXPECT_EQ(program.line(), "ready");
  program.type("one\n");
  EXPECT_EQ(program.line(), "got one");
  program.type_nothing_more();
  EXPECT_EQ(program.line(), "end");
  EXPECT_EQ(program.line(), "nothing came");
  EXPECT_EQ(program.status(), 0);
}

}  // namespace
}  // namespace underthread
