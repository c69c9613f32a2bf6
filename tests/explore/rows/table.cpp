#include "rows/table.h"

#include <array>
#include <string_view>

namespace explore {

std::span<const std::span<const RowInfo>> row_tables() {
  static const std::array tables{lock_rows,      rlock_rows,  lot_rows,    join_rows, deadlock_rows,
                                 interrupt_rows, signal_rows, record_rows, fork_rows};
  return tables;
}

const RowInfo* find_row(const char* name) {
  for (const std::span<const RowInfo> table : row_tables())
    for (const RowInfo& row : table)
      if (std::string_view(row.name) == name) return &row;
  return nullptr;
}

}  // namespace explore
