// Memory: what atomic operations may see and what they order, by the model that the run is about.
//
//   newest   every load reads the newest store: all threads agree on one order of everything
//   x86      a store waits in its thread's buffer until some later moment; others read past it
//   cpp      a load may read any store that C++20 allows it to: not older than what it knows of
//
// In all three, what happens before what is C++20's, and that is what races are judged by.
// Not produced: loads that read from stores which come later in program order (load buffering), and
// orders of stores to one location other than that in which they run (2+2W).
#pragma once

#include <array>
#include <cstdint>

#include "engine/address_space.h"
#include "engine/races.h"
#include "engine/seq_cst_order.h"
#include "engine/vector_clock.h"
#include "lot/callback.h"

namespace explore {

enum class Model : std::uint8_t { newest, x86, cpp };

/// As std::memory_order, and with the numbers that compilers use.
enum class Order : std::uint8_t { relaxed, consume, acquire, release, acq_rel, seq_cst };

constexpr bool acquires(Order order) noexcept {
  return order != Order::relaxed && order != Order::release;
}
constexpr bool releases(Order order) noexcept {
  return order >= Order::release;
}

/// Chooses one of `options`, of which 0 costs nothing and any other is a stale read.
class StaleReads {
 public:
  virtual bool may_be_stale() const noexcept = 0;
  virtual int which(int options) = 0;

 protected:
  ~StaleReads() = default;
};

class Memory {
 public:
  Memory(AddressSpace& space, StaleReads& stale);

  void begin_run(Model model) noexcept;

  /// What one operation did. `wrong`: what is wrong with it, or null.
  struct Done {
    std::uint64_t value;  ///< what was read
    bool stored;
    const char* wrong;
  };

  Done load(int thread, std::uintptr_t address, unsigned size, Order order);
  Done store(int thread, std::uintptr_t address, unsigned size, Order order, std::uint64_t value);
  /// A read-modify-write: reads the newest, writes what `change` makes of it.
  using Change = underthread::lot::Callback<std::uint64_t(std::uint64_t)>;
  Done modify(int thread, std::uintptr_t address, unsigned size, Order order, Change change);
  Done compare_exchange(int thread, std::uintptr_t address, unsigned size, Order success,
                        Order failure, std::uint64_t expected, std::uint64_t fresh);
  void fence(int thread, Order order);

  const char* plain(int thread, std::uintptr_t address, std::size_t size, bool is_write) noexcept;
  const char* freed(int thread, std::uintptr_t address, std::size_t size) noexcept;

  /// What the kernel finds at a word: the newest. Everything that the thread has stored is out by
  /// then.
  std::uint64_t kernel_reads(int thread, std::uintptr_t address, unsigned size);

  /// What `from` has done happens before what `to` does next: a thread started or joined.
  void order(int from, int to) noexcept;

  /// Something that threads do to each other besides memory (a queue of the kernel's): whoever does
  /// it after another is ordered behind it in the history, though not by C++'s rules.
  void touch(int thread, std::uint64_t& place) noexcept;
  /// A thread learns something that only it sees: a moment, the end of a sleep.
  void learn(int thread, std::uint64_t what) noexcept;

  /// Equal for two runs (so far) if each thread did and read the same, whatever the order of what
  /// does not touch the same places.
  std::uint64_t history() const noexcept { return history_; }
  /// How much has happened; equal where the histories are.
  std::uint32_t events() const noexcept { return events_; }
  /// The same for what one thread did and read.
  std::uint64_t history_of(int thread) const noexcept { return threads_[thread].history; }
  /// True if something was sequentially consistent, which costs more to follow.
  bool saw_seq_cst() const noexcept { return saw_seq_cst_; }
  void follow_seq_cst(bool follow) noexcept { follow_seq_cst_ = follow; }

 private:
  static constexpr std::size_t location_limit = 2048;
  static constexpr std::size_t store_limit = 1 << 14;
  static constexpr std::size_t view_limit = std::size_t{1} << 22;

  // A view: for each location, the oldest store that may still be read. By store position.
  using Position = std::uint16_t;
  struct View {
    std::array<Position, location_limit> of;
  };

  struct Store {
    std::uint64_t value;
    std::uint64_t history;
    VectorClock released;  // what an acquirer comes to know
    std::uint32_t view;    // and its view: where it is in views_
    std::uint16_t view_size;
    std::uint32_t older;  // the store before it, by number; 0: none
    Position position;    // in the location's order
    std::int8_t thread;   // -1: it was there before
    bool out;             // x86: it has left the buffer
    std::uint16_t event;  // in SeqCstOrder
  };

  struct Location {
    std::uintptr_t address;
    unsigned size;
    std::uint32_t newest;
    std::uint16_t number;
  };

  struct Thread {
    VectorClock clock;
    VectorClock acquired;  // by relaxed reads, for a fence to come
    VectorClock released;  // at the last fence
    std::uint64_t history;
    View view, view_acquired, view_released;  // 0 from the last location's number on
    std::array<std::uint32_t, 512> buffer;    // x86: numbers of stores, oldest first
    std::uint16_t buffered;
  };

  bool keeps_views() const noexcept { return model_ == Model::cpp; }
  Location& location(std::uintptr_t address, unsigned size);
  std::uint32_t add_store(int thread, Location& place, Order order, std::uint64_t value,
                          const Store* continues);
  Store& choose(int thread, Location& place, Order order, bool differs_from,
                std::uint64_t expected);
  Done read_from(int thread, std::uintptr_t address, unsigned size, Location& place, Store& store,
                 Order order);
  void read(int thread, Location& place, const Store& store, Order order);
  void happened(int thread, std::uint64_t what) noexcept;
  std::uint32_t keep_view(const View& view, const View* other, std::uint16_t& size);
  void join_view(View& view, const View& other) const noexcept;
  void join_kept(View& view, const Store& store) const noexcept;
  void let_out(int thread) noexcept;
  void let_out_until(std::uint32_t store) noexcept;

  AddressSpace& space_;
  StaleReads& stale_;
  Races races_;
  SeqCstOrder seq_cst_;
  Model model_ = Model::newest;
  bool saw_seq_cst_ = false;
  bool follow_seq_cst_ = false;

  Thread* threads_;
  int threads_used_ = max_threads;  // those above have done nothing since they were made new
  Location* locations_;
  std::uint16_t location_count_ = 0;
  Store* stores_;
  std::uint32_t store_count_ = 0;
  Position* views_;
  std::size_t views_used_ = 0;
  std::uint64_t history_ = 0;
  std::uint32_t events_ = 0;
};

}  // namespace explore
