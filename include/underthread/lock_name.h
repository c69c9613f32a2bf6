// LockName: what a lock is called in snapshots, dumps and reports of deadlocks.
//
//     underthread::Lock accounts;
//     const underthread::LockName name(accounts, "accounts");
#pragma once

#include <underthread/lock.h>
#include <underthread/rlock.h>

#include <memory>
#include <string>

namespace underthread {

class [[nodiscard("a lock is called so for as long as this exists")]] LockName {
 public:
  /// @param name  any text; the same for several locks is allowed
  LockName(const Lock& lock, std::string name);
  LockName(const RLock& lock, std::string name);
  ~LockName();
  LockName(LockName &&) noexcept;
  LockName& operator=(LockName&&) noexcept;

  class Entry;  ///< the library's own

 private:
  std::unique_ptr<Entry> entry_;
};

}  // namespace underthread
