#include "engine/trace.h"

#include <underthread/lot/thread_head.h>

#include <algorithm>
#include <iomanip>
#include <sstream>

#include "engine/symbols.h"
#include "lot/thread_record.h"

namespace explore {
namespace {

const char* name_of(Order order) {
  switch (order) {
    case Order::relaxed:
      return "relaxed";
    case Order::consume:
      return "consume";
    case Order::acquire:
      return "acquire";
    case Order::release:
      return "release";
    case Order::acq_rel:
      return "acq_rel";
    case Order::seq_cst:
      return "seq_cst";
  }
  return "?";
}

std::string hex(std::uint64_t value) {
  std::ostringstream text;
  if (value >= 10) text << "0x" << std::hex;
  text << value;
  return text.str();
}

// Records are in an array that is mapped once: where in one an address is.
std::string in_record(std::uintptr_t address) {
  using underthread::lot::ThreadRecord;
  const std::uintptr_t base = address & ~std::uintptr_t{0xFFFFF};
  const std::uintptr_t offset = (address - base) % sizeof(ThreadRecord);
  std::ostringstream text;
  text << "record " << (address - base) / sizeof(ThreadRecord);
  const ThreadRecord sample;
  const auto* start = reinterpret_cast<const char*>(&sample);
  const std::pair<const char*, const void*> fields[] = {
      {"pending", &sample.pending},     {"parker", &sample.parker},
      {"live", &sample.live},           {"ident", &sample.ident},
      {"native_id", &sample.native_id}, {"waits_for", &sample.waits_for},
      {"waiter", &sample.waiter},       {"interrupts_held", &sample.interrupts_held}};
  const std::pair<const char*, const void*>* best = nullptr;
  for (const auto& field : fields)
    if (static_cast<std::size_t>(static_cast<const char*>(field.second) - start) <= offset)
      best = &field;
  if (best) text << " ." << best->first;
  return text.str();
}

}  // namespace

std::string Trace::name_of(std::uintptr_t address, const AddressSpace& space) const {
  for (const Name& name : names_)
    if (address == name.address) return name.name;
  if (space.is_global(address)) {
    const std::string object = object_at(address);
    const std::size_t last = object.rfind("::");
    if (!object.empty()) return last == std::string::npos ? object : object.substr(last + 2);
  }
  if (space.is_for_ever(address)) return in_record(address);
  if (space.is_heap(address)) return "heap " + hex(address);
  return hex(address);
}

std::string Trace::text(const AddressSpace& space) const {
  std::vector<void*> code;
  for (const Event& event : events_)
    if (event.pc && std::find(code.begin(), code.end(), event.pc) == code.end())
      code.push_back(event.pc);
  const std::map<void*, std::string> sources = source_of(code);

  std::ostringstream text;
  int step = 0;
  for (const Event& event : events_) {
    std::ostringstream what;
    const std::string place = event.address ? name_of(event.address, space) : "";
    using What = Event::What;
    switch (event.what) {
      case What::load:
        what << place << " is " << hex(event.value) << "  (load " << explore::name_of(event.order)
             << ")";
        break;
      case What::store:
        what << place << " := " << hex(event.value) << "  (store " << explore::name_of(event.order)
             << ")";
        break;
      case What::modify:
        what << place << " " << hex(event.value) << " -> " << hex(event.second) << "  ("
             << explore::name_of(event.order) << ")";
        break;
      case What::compare_fails:
        what << place << " is " << hex(event.value) << ", not as compared  ("
             << explore::name_of(event.order) << ")";
        break;
      case What::fence:
        what << "fence " << explore::name_of(event.order);
        break;
      case What::futex_wait:
        what << "sleeps on " << place << " if it is " << hex(event.second) << ": it is "
             << hex(event.value);
        break;
      case What::futex_wakes:
        what << "was woken";
        break;
      case What::futex_wake:
        what << "wakes thread " << event.value << ", asleep on " << place;
        break;
      case What::futex_nobody:
        what << "would wake whoever sleeps on " << place << ": nobody";
        break;
      case What::clock:
        what << "the clock says " << event.value / 1000 << " us";
        break;
      case What::jump:
        what << "the clock jumps to " << event.value / 1000 << " us";
        break;
      case What::spin:
        what << "spins";
        break;
      case What::step:
        what << "a step of the row";
        break;
      case What::start:
        what << "starts thread " << event.value;
        break;
      case What::join:
        what << "has joined thread " << event.value;
        break;
      case What::end:
        what << "ends";
        break;
      case What::preempted:
        what << "---- is stopped here";
        break;
      case What::goes_on:
        what << "---- goes on";
        break;
      case What::time_out:
        what << "its time is up";
        break;
      case What::signal:
        what << "a signal's handler begins";
        break;
      case What::signal_ends:
        what << "the handler ends";
        break;
      case What::spurious:
        what << "wakes for no reason";
        break;
      case What::touches:
        what << "touches " << place << " plainly";
        break;
      case What::fork:
        what << (event.value ? "forks; this is the child" : "forks; this is the parent");
        break;
    }
    const auto source = sources.find(event.pc);
    text << std::setw(4) << ++step << "  "
         << std::string(static_cast<std::size_t>(event.thread) * 2, ' ') << 'T' << int{event.thread}
         << ' ' << what.str();
    if (source != sources.end() && event.what != What::preempted)
      text << "   <- " << source->second;
    text << '\n';
  }
  return text.str();
}

}  // namespace explore
