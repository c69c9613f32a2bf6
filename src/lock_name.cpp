#include <underthread/lock_name.h>

#include <atomic>
#include <cstddef>
#include <utility>

#include "current_thread.h"
#include "lot/fork.h"
#include "lot/mutex.h"
#include "lot/treap.h"
#include "seen.h"

namespace underthread {

/// A lock's newest name is in the set, and the ones before hang on it. lot::settings guards both.
class LockName::Entry : public lot::TreapNode {
 public:
  Entry(const void* lock, bool is_rlock, std::string name)
      : lock_(reinterpret_cast<std::uintptr_t>(lock)),
        is_rlock_(is_rlock),
        name_(std::make_shared<const std::string>(std::move(name))),
        text_(name_->data()),
        size_(name_->size()) {
    // Forks must be watched before the mutex that they take is used.
    current_thread();
    const lot::Locked locked(lot::settings);
    older_ = names.find(lock_);
    if (older_)
      names.replace(*older_, *this);
    else
      names.insert(*this, lock_);
  }

  ~Entry() {
    if (is_owned_) owned_.fetch_sub(1, std::memory_order_relaxed);
    const lot::Locked locked(lot::settings);
    Entry* newest = names.find(lock_);
    if (newest != this) {
      while (newest->older_ != this) newest = newest->older_;
      newest->older_ = older_;
      return;
    }
    if (older_)
      names.replace(*this, *older_);
    else
      names.erase(*this);
  }

  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  static std::shared_ptr<const std::string> name_of(const void* lock) {
    const lot::Locked locked(lot::settings);
    const Entry* const newest = names.find(reinterpret_cast<std::uintptr_t>(lock));
    return newest ? newest->name_ : nullptr;
  }

  static std::vector<NamedLock> all() {
    std::vector<NamedLock> named;
    for (bool is_whole = false; !is_whole;) {
      named.reserve(2 * named.capacity() + 64);
      named.clear();
      is_whole = true;
      const lot::Locked locked(lot::settings);
      names.for_each([&](const Entry& entry) {
        const auto* const lock = reinterpret_cast<const void*>(entry.lock_);
        if (named.size() < named.capacity())
          named.push_back({lock, entry.is_rlock_, holder_of(lock), entry.name_});
        else
          is_whole = false;
      });
    }
    return named;
  }

  /// Whether there may be one that `name_lock` has made.
  static bool is_any() noexcept { return owned_.load(std::memory_order_relaxed) != 0; }
  /// Takes back what `name_lock` has made for that lock.
  static std::unique_ptr<Entry> owned_of(const void* lock) noexcept {
    const lot::Locked locked(lot::settings);
    Entry* entry = names.find(reinterpret_cast<std::uintptr_t>(lock));
    while (entry && !entry->is_owned_) entry = entry->older_;
    return std::unique_ptr<Entry>(entry);
  }
  void become_owned() noexcept {
    is_owned_ = true;
    owned_.fetch_add(1, std::memory_order_relaxed);
  }

  const std::string& name() const noexcept { return *name_; }

  static lot::Treap<Entry> names;

  static constexpr NamesLayout layout() noexcept {
// Compilers know where members are also where the standard does not promise it.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
    static_assert(sizeof names == sizeof(void*), "a treap is a pointer to its root");
    return {&names, offsetof(Entry, lock_), offsetof(Entry, is_rlock_), offsetof(Entry, text_),
            offsetof(Entry, size_)};
#pragma GCC diagnostic pop
  }

 private:
  // relaxed: who unnames a lock has named it, or was told that somebody has.
  static std::atomic<std::size_t> owned_;

  bool is_owned_ = false;
  std::uintptr_t lock_;
  bool is_rlock_;
  std::shared_ptr<const std::string> name_;
  // Of `name_`, for NamesLayout: every standard library has strings of its own.
  const char* text_;
  std::uintptr_t size_;
  Entry* older_ = nullptr;
};

constinit lot::Treap<LockName::Entry> LockName::Entry::names;
constinit std::atomic<std::size_t> LockName::Entry::owned_{0};
constinit const NamesLayout names_layout = LockName::Entry::layout();

LockName::LockName(const Lock& lock, std::string name)
    : entry_(std::make_unique<Entry>(&lock, false, std::move(name))) {}
// Its lock is its first member, and is what is waited for.
LockName::LockName(const RLock& lock, std::string name)
    : entry_(std::make_unique<Entry>(&lock, true, std::move(name))) {}
LockName::~LockName() = default;
LockName::LockName(LockName&&) noexcept = default;
LockName& LockName::operator=(LockName&&) noexcept = default;

bool try_name_of_lock(const void* lock, TextBuffer& name) noexcept {
  const lot::TriedLock locked(lot::settings);
  if (!locked) return false;
  const LockName::Entry* const newest =
      LockName::Entry::names.find(reinterpret_cast<std::uintptr_t>(lock));
  if (newest) name << newest->name();
  return true;
}

std::string name_of_lock(const void* lock) {
  const std::shared_ptr<const std::string> name = LockName::Entry::name_of(lock);
  return name ? *name : std::string();
}

void name_lock(const void* lock, bool is_rlock, std::string name) {
  auto made = std::make_unique<LockName::Entry>(lock, is_rlock, std::move(name));
  const std::unique_ptr<LockName::Entry> old = LockName::Entry::owned_of(lock);
  made.release()->become_owned();
}

void unname_lock(const void* lock) noexcept {
  if (LockName::Entry::is_any()) LockName::Entry::owned_of(lock).reset();
}

std::vector<NamedLock> named_locks() {
  return LockName::Entry::all();
}

}  // namespace underthread
