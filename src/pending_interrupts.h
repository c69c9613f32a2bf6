// What is pending for a thread, for code of ours that may not throw it where it comes.
#pragma once

#include <exception>

#include "lot/thread_record.h"

namespace underthread {

/// As `take_interrupt`, without limits of time: they can be asked for later.
std::exception_ptr take_sent_interrupt(lot::ThreadRecord& me);

/// It is pending again, before all others.
void put_interrupt_back(lot::ThreadRecord& me, std::exception_ptr exception);

}  // namespace underthread
