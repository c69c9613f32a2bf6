// What a row's runs find in place, and what they must leave so: the threads that the library knows.
#pragma once

namespace explore {

/// Threads that exist before every run, whether the row uses them or not: numbers 0 to 3.
inline constexpr int threads_in_place = 4;

/// Makes the calling thread known to the library, as thread `number`.
void prepare_thread(int number);

/// After a run: no thread that is still known stands in a queue or says that it waits.
void require_nothing_left();

}  // namespace explore
