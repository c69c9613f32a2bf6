#include "standard_input.h"

#include <underthread/interrupt.h>
#include <underthread/interruptible_syscalls.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <utility>

#include "current_thread.h"
#include "due_limit.h"
#include "os/futex.h"
#include "os/stdio_buffer.h"
#include "pending_interrupts.h"
#include "safe_point.h"

namespace underthread {
namespace {

/// A safe point whose exception, if it throws one, is left for the next one. False: it would throw.
bool passes_safe_point() {
  lot::ThreadRecord& me = current_thread();
  if (interrupts_are_held(me)) return true;
  if (std::exception_ptr sent = take_sent_interrupt(me)) {
    put_interrupt_back(me, std::move(sent));
    return false;
  }
  // One that is over is told where it can be thrown, if that is still in its block.
  return limit_until(me) > os::now();
}

/// System calls of this thread are interruptible while it exists, if they can be.
class Scope {
 public:
  Scope() {
    try {
      scope_.emplace();
    } catch (const error&) {
    } catch (const std::invalid_argument&) {
      // Without: input is not lost because UNDERTHREAD_NUDGE is wrong.
    }
  }

 private:
  std::optional<InterruptibleSyscalls> scope_;
};

/// The next character, or EOF. What istream's functions call throws nothing: they would take it for
/// an error of the stream, and go on.
int next() {
  if (os::buffered_input(stdin) > 0) return std::getc(stdin);
  for (;;) {
    if (!passes_safe_point()) return EOF;
    const Scope scope;
    // Not left to getc, which ThreadSanitizer does not know for a wait: it holds handlers back
    // there.
    if (!os::await_input(stdin)) continue;
    const int saved = errno;
    errno = 0;
    const int got = std::getc(stdin);
    const bool is_interrupted = got == EOF && errno == EINTR && !std::feof(stdin);
    errno = saved;
    if (!is_interrupted) return got;
    // Nothing has been read, and nothing is wrong with it.
    std::clearerr(stdin);
  }
}

/// Reads by `next`, and leaves all else to the buffer that std::cin had.
class Buffer : public std::streambuf {
 public:
  std::streambuf* before = nullptr;

 protected:
  int_type underflow() override {
    const int got = next();
    return got == EOF ? traits_type::eof() : std::ungetc(got, stdin);
  }
  int_type uflow() override { return last_ = next(); }
  std::streamsize xsgetn(char* to, std::streamsize size) override {
    std::streamsize done = 0;
    while (done < size) {
      if (const std::size_t ready = os::buffered_input(stdin); ready > 0) {
        const std::size_t wanted = std::min(ready, static_cast<std::size_t>(size - done));
        done += static_cast<std::streamsize>(std::fread(to + done, 1, wanted, stdin));
        last_ = traits_type::to_int_type(to[done - 1]);
        continue;
      }
      if (traits_type::eq_int_type(uflow(), traits_type::eof())) break;
      to[done++] = traits_type::to_char_type(last_);
    }
    return done;
  }
  int_type pbackfail(int_type character) override {
    if (!traits_type::eq_int_type(character, traits_type::eof()))
      return std::ungetc(character, stdin);
    const int_type back = std::exchange(last_, traits_type::eof());
    return traits_type::eq_int_type(back, traits_type::eof()) ? back : std::ungetc(back, stdin);
  }
  int sync() override { return std::fflush(stdin); }
  pos_type seekoff(off_type offset, std::ios_base::seekdir from,
                   std::ios_base::openmode mode) override {
    return before->pubseekoff(offset, from, mode);
  }
  pos_type seekpos(pos_type position, std::ios_base::openmode mode) override {
    return before->pubseekpos(position, mode);
  }

 private:
  int_type last_ = traits_type::eof();
};

// The process's, made when it is first wanted, by the main thread. Never destroyed: a thread may
// wait in it when its `run_main` returns.
constinit Buffer* the_buffer = nullptr;

}  // namespace

StandardInput::StandardInput() {
  if (!os::is_stdio_buffer(std::cin.rdbuf())) return;
  if (!the_buffer) the_buffer = new Buffer;
  before_ = std::cin.rdbuf();
  the_buffer->before = before_;
  std::cin.rdbuf(the_buffer);
}

StandardInput::~StandardInput() {
  if (before_ && std::cin.rdbuf() == the_buffer) {
    const auto state = std::cin.rdstate();
    std::cin.rdbuf(before_);
    // Whoever has asked for exceptions has had this one.
    if ((state & std::cin.exceptions()) == 0) std::cin.setstate(state);
  }
}

}  // namespace underthread
