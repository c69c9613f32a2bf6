#include "lot/mailbox.h"

#include <utility>

#include "os/thread_sanitizer.h"

namespace underthread::lot {

// An address that no letter has, known before anything is constructed.
Letter* Mailbox::closed() noexcept {
  return reinterpret_cast<Letter*>(sizeof(void*));
}

bool Mailbox::put(Letter& letter) noexcept {
  os::note_before(&letter);
  // relaxed: it is compared, and not followed.
  Letter* before = arrived_.load(std::memory_order_relaxed);
  do {
    if (before == closed()) return false;
    letter.next = before;
  } while (!arrived_.compare_exchange_weak(before, &letter, std::memory_order_release,
                                           std::memory_order_relaxed));
  return true;
}

void Mailbox::sort_arrived() noexcept {
  // relaxed: a hint, and what has not been seen is followed by a poke.
  Letter* last = arrived_.load(std::memory_order_relaxed);
  if (!last || last == closed()) return;
  last = arrived_.exchange(nullptr, std::memory_order_acquire);
  Letter** end = &first_;
  while (*end) end = &(*end)->next;
  // Last put first: each goes before those that have been turned already.
  Letter* turned = nullptr;
  while (last) {
    Letter* const next = last->next;
    last->next = turned;
    turned = last;
    last = next;
  }
  *end = turned;
}

Letter* Mailbox::take(std::uint32_t holder, bool& more) noexcept {
  Letter* letter = nullptr;
  do {
    delete letter;
    if (!first_) sort_arrived();
    letter = first_;
    if (letter) {
      first_ = letter->next;
      os::note_after(letter);
    }
  } while (letter && letter->holder != holder);
  more = has_any();
  return letter;
}

void Mailbox::put_back(Letter& letter) noexcept {
  letter.next = first_;
  first_ = &letter;
}

bool Mailbox::has_any() const noexcept {
  // relaxed: a hint. Who puts one after this pokes after that.
  const Letter* const arrived = arrived_.load(std::memory_order_relaxed);
  return first_ || (arrived && arrived != closed());
}

std::size_t Mailbox::count() const noexcept {
  const Letter* const arrived = arrived_.load(std::memory_order_acquire);
  std::size_t found = 0;
  for (const Letter* list :
       {static_cast<const Letter*>(first_), arrived == closed() ? nullptr : arrived})
    for (; list; list = list->next) ++found;
  return found;
}

void Mailbox::close() noexcept {
  sort_arrived();
  // Those that came between the two are the last. acquire: as in `take`.
  Letter* left = arrived_.exchange(closed(), std::memory_order_acquire);
  if (left == closed()) left = nullptr;
  for (Letter* list : {std::exchange(first_, nullptr), left})
    while (list) {
      Letter* const next = list->next;
      os::note_after(list);
      delete list;
      list = next;
    }
}

void Mailbox::forget() noexcept {
  first_ = nullptr;
  arrived_.store(closed(), std::memory_order_relaxed);
}

}  // namespace underthread::lot
