// os/nudge.h where no thread is in a system call.
#include "os/nudge.h"

#include "engine/machine.h"

namespace underthread::os {

int Nudge::claim(int, void (*)(), int) noexcept {
  return 0;
}

int Nudge::number_wanted() noexcept {
  return 0;
}

void Nudge::forget_all() noexcept {}

bool Nudge::aim(std::uint64_t, int) noexcept {
  return false;
}

void Nudge::open() noexcept {}
void Nudge::close() noexcept {}
void Nudge::put_away() noexcept {}
void Nudge::begin_at(std::int64_t) noexcept {}
void Nudge::again() noexcept {}
void Nudge::stop() noexcept {}

void Nudge::begin() noexcept {
  explore::machine.fail("a thread was nudged that has not asked for it");
}

void Nudge::begin_later() noexcept {
  begin();
}

}  // namespace underthread::os
