#include "engine/memory.h"

#include <cstdlib>
#include <cstring>

namespace explore {
namespace {

std::uint64_t read_raw(std::uintptr_t address, unsigned size) noexcept {
  std::uint64_t value = 0;
  std::memcpy(&value, reinterpret_cast<const void*>(address), size);
  return value;
}

void write_raw(std::uintptr_t address, unsigned size, std::uint64_t value) noexcept {
  std::memcpy(reinterpret_cast<void*>(address), &value, size);
}

}  // namespace

Memory::Memory(AddressSpace& space, StaleReads& stale)
    : space_(space),
      stale_(stale),
      races_(space),
      threads_(static_cast<Thread*>(map_table(sizeof(Thread) * max_threads))),
      locations_(static_cast<Location*>(map_table(sizeof(Location) * location_limit))),
      stores_(static_cast<Store*>(map_table(sizeof(Store) * store_limit))),
      views_(static_cast<Position*>(map_table(sizeof(Position) * view_limit))) {}

void Memory::begin_run(Model model) noexcept {
  const bool had_views = keeps_views();
  model_ = model;
  races_.begin_run();
  if (follow_seq_cst_) seq_cst_.begin_run();
  saw_seq_cst_ = false;
  // What threads without a part in the run before have is still as it was.
  for (int i = 0; i < threads_used_; ++i) {
    Thread& thread = threads_[i];
    thread.clock = thread.acquired = thread.released = {};
    thread.clock.of[i] = 1;
    thread.history = mix(0x7468, static_cast<std::uint64_t>(i));
    thread.buffered = 0;
    if (!had_views) continue;
    for (View* view : {&thread.view, &thread.view_acquired, &thread.view_released})
      std::memset(view->of.data(), 0, location_count_ * sizeof(Position));
  }
  threads_used_ = 0;
  location_count_ = 0;
  store_count_ = 1;
  views_used_ = 0;
  history_ = 0;
  events_ = 0;
}

// --- History

void Memory::happened(int thread, std::uint64_t what) noexcept {
  Thread& me = threads_[thread];
  threads_used_ = std::max(threads_used_, thread + 1);
  me.history = mix(me.history, what);
  ++events_;
  history_ += mix(me.history, 0x65766E74);
  ++me.clock.of[thread];
}

void Memory::touch(int thread, std::uint64_t& place) noexcept {
  happened(thread, place);
  place = threads_[thread].history;
}

void Memory::learn(int thread, std::uint64_t what) noexcept {
  happened(thread, mix(0x6C65, what));
}

void Memory::order(int from, int to) noexcept {
  Thread& earlier = threads_[from];
  Thread& later = threads_[to];
  let_out(from);
  later.clock.join(earlier.clock);
  if (keeps_views()) join_view(later.view, earlier.view);
  ++earlier.clock.of[from];
  happened(to, earlier.history);
}

// --- Views

void Memory::join_view(View& view, const View& other) const noexcept {
  for (std::size_t i = 0; i < location_count_; ++i) view.of[i] = std::max(view.of[i], other.of[i]);
}

void Memory::join_kept(View& view, const Store& store) const noexcept {
  const Position* kept = views_ + store.view;
  for (std::size_t i = 0; i < store.view_size; ++i) view.of[i] = std::max(view.of[i], kept[i]);
}

std::uint32_t Memory::keep_view(const View& view, const View* other, std::uint16_t& size) {
  if (views_used_ + location_count_ > view_limit) std::abort();
  const auto where = static_cast<std::uint32_t>(views_used_);
  size = location_count_;
  views_used_ += size;
  for (std::size_t i = 0; i < size; ++i)
    views_[where + i] = other ? std::max(view.of[i], other->of[i]) : view.of[i];
  return where;
}

// --- Stores and who sees them

Memory::Location& Memory::location(std::uintptr_t address, unsigned size) {
  const std::ptrdiff_t granule = space_.granule_of(address);
  if (granule < 0) std::abort();  // an atomic where explored code cannot share one
  std::uint16_t& number = races_.atomic_at(static_cast<std::size_t>(granule), address);
  const std::uint64_t value = read_raw(address, size);
  if (number != 0) {
    Location& found = locations_[number - 1];
    if (stores_[found.newest].value == value) return found;
    // Written plainly since: a new object lives here. Nobody may read what was there before.
  } else {
    if (location_count_ == location_limit) std::abort();
    number = ++location_count_;
  }
  Location& fresh = locations_[number - 1];
  if (store_count_ == store_limit) std::abort();
  Store& first = stores_[store_count_];
  first.value = value;
  first.history = mix(address, value);
  first.released = {};
  first.view_size = 0;
  first.older = 0;
  first.position = 0;
  first.thread = -1;
  first.out = true;
  first.event = 0xFFFF;
  fresh = {address, size, store_count_++, static_cast<std::uint16_t>(number - 1)};
  return fresh;
}

std::uint32_t Memory::add_store(int thread, Location& place, Order order, std::uint64_t value,
                                const Store* continues) {
  if (store_count_ == store_limit) std::abort();
  Thread& me = threads_[thread];
  const std::uint32_t number = store_count_++;
  Store& store = stores_[number];
  store.value = value;
  store.thread = static_cast<std::int8_t>(thread);
  store.older = place.newest;
  store.position = static_cast<Position>(stores_[place.newest].position + 1);
  store.out = true;
  store.event = 0xFFFF;
  store.released = releases(order) ? me.clock : me.released;
  // A release sequence: the store, and read-modify-writes that follow it.
  if (continues) store.released.join(continues->released);
  if (keeps_views()) {
    me.view.of[place.number] = store.position;
    const View& source = releases(order) ? me.view : me.view_released;
    store.view = keep_view(source, nullptr, store.view_size);
    // Whoever reads this store knows of it at least.
    views_[store.view + place.number] = std::max(views_[store.view + place.number], store.position);
    if (continues)
      for (std::size_t i = 0; i < continues->view_size; ++i)
        views_[store.view + i] = std::max(views_[store.view + i], views_[continues->view + i]);
  }
  place.newest = number;
  const std::ptrdiff_t granule = space_.granule_of(place.address);
  space_.save(static_cast<std::size_t>(granule));
  write_raw(place.address, place.size, value);
  return number;
}

void Memory::let_out_until(std::uint32_t number) noexcept {
  Store& store = stores_[number];
  if (store.out) return;
  Thread& owner = threads_[store.thread];
  // The buffer is a queue: what is in front of it goes out before it. And what is older at the same
  // place was there before.
  std::uint16_t gone = 0;
  while (!store.out) {
    const std::uint32_t next = owner.buffer[gone++];
    stores_[next].out = true;
  }
  std::array<std::uint32_t, 512> went;
  for (std::uint16_t i = 0; i < gone; ++i) went[i] = owner.buffer[i];
  for (std::uint16_t i = gone; i < owner.buffered; ++i) owner.buffer[i - gone] = owner.buffer[i];
  owner.buffered = static_cast<std::uint16_t>(owner.buffered - gone);
  for (std::uint16_t i = 0; i < gone; ++i)
    if (stores_[went[i]].older != 0) let_out_until(stores_[went[i]].older);
}

void Memory::let_out(int thread) noexcept {
  Thread& me = threads_[thread];
  if (me.buffered > 0) let_out_until(me.buffer[me.buffered - 1]);
}

Memory::Store& Memory::choose(int thread, Location& place, Order order, bool differs_from,
                              std::uint64_t expected) {
  Store& newest = stores_[place.newest];
  if (model_ == Model::newest || !stale_.may_be_stale()) return newest;
  Thread& me = threads_[thread];

  std::array<Store*, 64> options;
  int count = 0;
  for (Store* store = &newest;; store = &stores_[store->older]) {
    const bool possible = store == &newest || !differs_from || store->value != expected;
    bool allowed = possible;
    if (allowed && follow_seq_cst_ && store != &newest) {
      SeqCstOrder::Event event{
          thread,       me.clock.of[thread],     me.clock,
          me.clock,     order == Order::seq_cst, false,
          place.number, 2 * store->position + 1, store->event == 0xFFFF ? -1 : store->event};
      if (acquires(order)) event.after.join(store->released);
      allowed = seq_cst_.allows(event);
    }
    if (allowed) options[static_cast<std::size_t>(count++)] = store;
    const bool must_be_seen = model_ == Model::x86 ? store->out || store->thread == thread
                                                   : store->position <= me.view.of[place.number];
    if (must_be_seen || store->older == 0 || count == static_cast<int>(options.size())) break;
  }
  if (count == 1) return *options[0];
  return *options[static_cast<std::size_t>(stale_.which(count))];
}

void Memory::read(int thread, Location& place, const Store& store, Order order) {
  Thread& me = threads_[thread];
  if (model_ == Model::x86 && store.thread != thread)
    let_out_until(static_cast<std::uint32_t>(&store - stores_));
  (acquires(order) ? me.clock : me.acquired).join(store.released);
  if (!keeps_views()) return;
  me.view.of[place.number] = std::max(me.view.of[place.number], store.position);
  join_kept(acquires(order) ? me.view : me.view_acquired, store);
}

// --- Operations

Memory::Done Memory::load(int thread, std::uintptr_t address, unsigned size, Order order) {
  Location& place = location(address, size);
  return read_from(thread, address, size, place, choose(thread, place, order, false, 0), order);
}

Memory::Done Memory::read_from(int thread, std::uintptr_t address, unsigned size, Location& place,
                               Store& store, Order order) {
  Thread& me = threads_[thread];
  const char* wrong = races_.atomic_read(address, size, thread, me.clock);
  saw_seq_cst_ |= order == Order::seq_cst;
  const VectorClock before = me.clock;
  read(thread, place, store, order);
  if (follow_seq_cst_)
    seq_cst_.add({thread, before.of[thread], before, me.clock, order == Order::seq_cst, false,
                  place.number, 2 * store.position + 1, store.event == 0xFFFF ? -1 : store.event});
  happened(thread, store.history);
  return {store.value, false, wrong};
}

Memory::Done Memory::store(int thread, std::uintptr_t address, unsigned size, Order order,
                           std::uint64_t value) {
  Thread& me = threads_[thread];
  const char* wrong = races_.atomic_write(address, size, thread, me.clock);
  Location& place = location(address, size);
  saw_seq_cst_ |= order == Order::seq_cst;
  const std::uint64_t overwritten = stores_[place.newest].history;
  const std::uint32_t number = add_store(thread, place, order, value, nullptr);
  Store& made = stores_[number];
  if (follow_seq_cst_)
    made.event = static_cast<std::uint16_t>(
        seq_cst_.add({thread, me.clock.of[thread], me.clock, me.clock, order == Order::seq_cst,
                      false, place.number, 2 * made.position, -1}));
  if (model_ == Model::x86) {
    if (me.buffered == me.buffer.size()) std::abort();
    made.out = false;
    me.buffer[me.buffered++] = number;
    // An exchange, to x86.
    if (order == Order::seq_cst) let_out(thread);
  }
  happened(thread, overwritten);
  made.history = me.history;
  return {value, true, wrong};
}

Memory::Done Memory::compare_exchange(int thread, std::uintptr_t address, unsigned size,
                                      Order success, Order failure, std::uint64_t expected,
                                      std::uint64_t fresh) {
  Location& place = location(address, size);
  Store& found =
      model_ == Model::cpp ? choose(thread, place, failure, true, expected) : stores_[place.newest];
  if (found.value == expected && &found == &stores_[place.newest])
    return modify(thread, address, size, success, [fresh](std::uint64_t) { return fresh; });

  // It fails: a load.
  if (model_ == Model::x86) let_out(thread);
  return read_from(thread, address, size, place, found, failure);
}

Memory::Done Memory::modify(int thread, std::uintptr_t address, unsigned size, Order order,
                            Change change) {
  Thread& me = threads_[thread];
  const char* wrong = races_.atomic_write(address, size, thread, me.clock);
  Location& place = location(address, size);
  saw_seq_cst_ |= order == Order::seq_cst;
  Store& old = stores_[place.newest];
  const VectorClock before = me.clock;
  if (model_ == Model::x86) {
    let_out(thread);
    let_out_until(place.newest);
  }
  read(thread, place, old, order);
  const std::uint64_t value = old.value;
  const std::uint64_t overwritten = old.history;
  const int from = old.event == 0xFFFF ? -1 : old.event;
  Store& made = stores_[add_store(thread, place, order, change(value), &old)];
  if (follow_seq_cst_)
    made.event = static_cast<std::uint16_t>(
        seq_cst_.add({thread, before.of[thread], before, me.clock, order == Order::seq_cst, false,
                      place.number, 2 * made.position, from}));
  happened(thread, overwritten);
  made.history = me.history;
  return {value, true, wrong};
}

void Memory::fence(int thread, Order order) {
  Thread& me = threads_[thread];
  saw_seq_cst_ |= order == Order::seq_cst;
  const VectorClock before = me.clock;
  if (acquires(order)) {
    me.clock.join(me.acquired);
    if (keeps_views()) join_view(me.view, me.view_acquired);
  }
  if (releases(order)) {
    me.released = me.clock;
    if (keeps_views()) std::memcpy(&me.view_released, &me.view, location_count_ * sizeof(Position));
  }
  if (order == Order::seq_cst) {
    if (model_ == Model::x86) let_out(thread);
    if (follow_seq_cst_)
      seq_cst_.add({thread, before.of[thread], before, me.clock, true, true, -1, 0, -1});
  }
  happened(thread, 0x66656E63);
}

const char* Memory::plain(int thread, std::uintptr_t address, std::size_t size,
                          bool is_write) noexcept {
  const VectorClock& clock = threads_[thread].clock;
  return is_write ? races_.plain_write(address, size, thread, clock)
                  : races_.plain_read(address, size, thread, clock);
}

const char* Memory::freed(int thread, std::uintptr_t address, std::size_t size) noexcept {
  return races_.freed(address, size, thread, threads_[thread].clock);
}

std::uint64_t Memory::kernel_reads(int thread, std::uintptr_t address, unsigned size) {
  Location& place = location(address, size);
  if (model_ == Model::x86) {
    let_out(thread);
    let_out_until(place.newest);
  }
  const Store& newest = stores_[place.newest];
  happened(thread, newest.history);
  return newest.value;
}

}  // namespace explore
