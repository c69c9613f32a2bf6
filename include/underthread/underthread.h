// underthread: Python's `_thread` in C++20. This header is the whole of it.
#pragma once

#include <underthread/deadline.h>
#include <underthread/deadlock.h>
#include <underthread/dump.h>
#include <underthread/errors.h>
#include <underthread/ident.h>
#include <underthread/interrupt.h>
#include <underthread/interruptible_syscalls.h>
#include <underthread/lock.h>
#include <underthread/lock_name.h>
#include <underthread/rlock.h>
#include <underthread/run_main.h>
#include <underthread/signals.h>
#include <underthread/sleep.h>
#include <underthread/snapshot.h>
#include <underthread/task.h>
#include <underthread/thread.h>
#include <underthread/thread_safety.h>
#include <underthread/time_limit.h>
#include <underthread/with.h>
