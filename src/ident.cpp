#include <underthread/ident.h>

#include "current_thread.h"
#include "os/native_thread.h"

namespace underthread {

Ident get_ident_at_first_use() noexcept {
  lot::current();
  return os::thread_ident();
}

std::uint64_t get_native_id_at_first_use() {
  return current_thread().native_id.load(std::memory_order_relaxed);
}

}  // namespace underthread
