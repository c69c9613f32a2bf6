#include <underthread/ident.h>

#include "current_thread.h"
#include "os/native_thread.h"

namespace underthread {

Ident ident_without_record() noexcept {
  return os::thread_ident();
}

std::uint64_t native_id_without_record() {
  return current_thread().native_id.load(std::memory_order_relaxed);
}

}  // namespace underthread
