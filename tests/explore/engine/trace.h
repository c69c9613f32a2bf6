// Trace: what happened in a run, for people.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/address_space.h"
#include "engine/memory.h"

namespace explore {

struct Event {
  enum class What : std::uint8_t {
    load,
    store,
    modify,
    compare_fails,
    fence,
    futex_wait,
    futex_wakes,
    futex_wake,
    futex_nobody,
    clock,
    jump,
    spin,
    step,
    start,
    join,
    end,
    preempted,
    goes_on,
    time_out,
    signal,
    spurious,
    fork,
    signal_ends,
    touches,
  };
  What what;
  std::int8_t thread;
  std::uint8_t size;
  Order order;
  void* pc;
  std::uintptr_t address;
  std::uint64_t value;
  std::uint64_t second;
};

class Trace {
 public:
  Trace() { events_.reserve(limit); }

  void keep(bool keep) noexcept { keeps_ = keep; }
  bool keeps() const noexcept { return keeps_; }
  void begin_run() noexcept {
    events_.clear();
    names_.clear();
  }
  void add(const Event& event) {
    if (events_.size() < limit) events_.push_back(event);
  }
  /// `object` is called `name` in the trace.
  void name(const void* object, const char* name) {
    if (keeps_ && names_.size() < names_.capacity())
      names_.push_back({reinterpret_cast<std::uintptr_t>(object), name});
  }

  /// A line for each event: step, thread, what it did and to what, where in the source.
  std::string text(const AddressSpace& space) const;

 private:
  static constexpr std::size_t limit = 1 << 14;
  struct Name {
    std::uintptr_t address;
    const char* name;
  };

  std::string name_of(std::uintptr_t address, const AddressSpace& space) const;

  std::vector<Event> events_;
  std::vector<Name> names_ = reserved();
  bool keeps_ = false;

  static std::vector<Name> reserved() {
    std::vector<Name> names;
    names.reserve(64);
    return names;
  }
};

}  // namespace explore
