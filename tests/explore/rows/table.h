// All rows, by the files that they are in.
#pragma once

#include <span>

#include "rows/row.h"

namespace explore {

extern const std::span<const RowInfo> lock_rows;
extern const std::span<const RowInfo> rlock_rows;
extern const std::span<const RowInfo> lot_rows;
extern const std::span<const RowInfo> join_rows;
extern const std::span<const RowInfo> deadlock_rows;
extern const std::span<const RowInfo> interrupt_rows;
extern const std::span<const RowInfo> signal_rows;
extern const std::span<const RowInfo> record_rows;
extern const std::span<const RowInfo> fork_rows;

/// Every table above, in this order.
std::span<const std::span<const RowInfo>> row_tables();

/// The row of that name, or null.
const RowInfo* find_row(const char* name);

}  // namespace explore
