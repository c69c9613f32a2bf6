// The table of underthread/dump.h, for whoever writes it elsewhere than to a descriptor.
#pragma once

#include <string_view>

#include "lot/callback.h"

namespace underthread {

/// Calls `write` with each line of it, with its newline. Async-signal-safe, if `write` is.
void say_dump(lot::Callback<void(std::string_view line)> write) noexcept;

}  // namespace underthread
