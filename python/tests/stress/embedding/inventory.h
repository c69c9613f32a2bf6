// What a process has that is not memory: what is taken here before and after must be the same.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { last_signal = 64, text_size = 8192 };

/// SA_RESTORER, which the C library sets with every action: Linux's own, so no header names it.
enum { flag_of_the_library = 0x04000000 };

struct action {
  void* handler;
  int flags;
  unsigned long long mask;
};

struct inventory {
  struct action actions[last_signal + 1];
  char blocked[64], ignored[64], caught[64];  ///< lines of /proc/self/status
  int threads;
  char fds[text_size];
  char timers[text_size];
};

/// One that the C library keeps to itself is all zero.
static inline struct action action_of(int signum) {
  struct action result = {0};
  struct sigaction found;
  if (sigaction(signum, NULL, &found) != 0) return result;
  result.handler =
      found.sa_flags & SA_SIGINFO ? (void*)found.sa_sigaction : (void*)found.sa_handler;
  result.flags = found.sa_flags & ~flag_of_the_library;
  for (int each = 1; each <= last_signal; ++each)
    if (sigismember(&found.sa_mask, each) == 1) result.mask |= 1ull << (each - 1);
  return result;
}

static inline int is_same_action(struct action a, struct action b) {
  return a.handler == b.handler && a.flags == b.flags && a.mask == b.mask;
}

static inline void read_file(const char* path, char* text, size_t size) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  size_t length = 0;
  ssize_t got = 0;
  while (fd >= 0 && length < size - 1 && (got = read(fd, text + length, size - 1 - length)) > 0)
    length += (size_t)got;
  text[length] = 0;
  if (fd >= 0) close(fd);
}

static inline void line_of(const char* text, const char* name, char line[64]) {
  const char* const found = strstr(text, name);
  const size_t length = found ? strcspn(found, "\n") : 0;
  snprintf(line, 64, "%.*s", (int)length, found ? found : "");
}

/// Whether a thread has run all of its code: one that has been joined may stay listed for a moment.
static inline int is_exiting(const char* task) {
  enum { pf_exiting = 4 };
  char path[300], text[text_size];
  snprintf(path, sizeof path, "/proc/self/task/%s/stat", task);
  read_file(path, text, sizeof text);
  // Behind the name, which may have anything in it: state, five numbers, flags.
  const char* const behind = strrchr(text, ')');
  unsigned flags = pf_exiting;
  if (behind) sscanf(behind, ") %*c %*d %*d %*d %*d %*d %u", &flags);
  return (flags & pf_exiting) != 0;
}

static inline int count_threads(void) {
  int count = 0;
  DIR* const tasks = opendir("/proc/self/task");
  for (struct dirent* each = readdir(tasks); each; each = readdir(tasks))
    count += each->d_name[0] != '.' && !is_exiting(each->d_name);
  closedir(tasks);
  return count;
}

static inline void list_fds(char* text, size_t size) {
  size_t length = 0;
  for (int fd = 0; fd < 256; ++fd) {
    char path[64], target[256];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    const ssize_t got = readlink(path, target, sizeof target - 1);
    if (got < 0) continue;
    target[got] = 0;
    const int added = snprintf(text + length, size - length, "%d=%s ", fd, target);
    if (added > 0 && (size_t)added < size - length) length += (size_t)added;
  }
  text[length] = 0;
}

static inline struct inventory* take_inventory(void) {
  struct inventory* const it = calloc(1, sizeof *it);
  char status[text_size];
  for (int signum = 1; signum <= last_signal; ++signum) it->actions[signum] = action_of(signum);
  read_file("/proc/self/status", status, sizeof status);
  line_of(status, "SigBlk:", it->blocked);
  line_of(status, "SigIgn:", it->ignored);
  line_of(status, "SigCgt:", it->caught);
  it->threads = count_threads();
  list_fds(it->fds, sizeof it->fds);
  read_file("/proc/self/timers", it->timers, sizeof it->timers);
  return it;
}

static inline const char* name_of(void* handler) {
  if (handler == (void*)SIG_DFL) return "default";
  return handler == (void*)SIG_IGN ? "ignored" : "a handler";
}

/// Prints a line for each action that is another one than at `before`.
static inline void print_changed_actions(const struct inventory* before) {
  for (int signum = 1; signum <= last_signal; ++signum) {
    const struct action then = before->actions[signum], now = action_of(signum);
    if (is_same_action(then, now)) continue;
    const int is_no_handler = now.handler == (void*)SIG_DFL || now.handler == (void*)SIG_IGN;
    if (is_no_handler && then.handler == now.handler && then.mask == now.mask)
      printf("flags of signal %d, which has no handler: %#x -> %#x\n", signum, (unsigned)then.flags,
             (unsigned)now.flags);
    else
      printf("signal %d: %s, flags %#x, mask %#llx -> %s, flags %#x, mask %#llx\n", signum,
             name_of(then.handler), (unsigned)then.flags, then.mask, name_of(now.handler),
             (unsigned)now.flags, now.mask);
  }
  fflush(stdout);
}

static inline void print_if_different(const char* what, const char* then, const char* now) {
  if (strcmp(then, now) != 0) printf("%s: %s -> %s\n", what, then, now);
}

/// Prints a line for all that is not as it was at `before`.
static inline void print_differences(const struct inventory* before) {
  struct inventory* const now = take_inventory();
  print_changed_actions(before);
  print_if_different("blocked", before->blocked, now->blocked);
  print_if_different("ignored", before->ignored, now->ignored);
  print_if_different("caught", before->caught, now->caught);
  if (before->threads != now->threads) printf("threads: %d -> %d\n", before->threads, now->threads);
  print_if_different("fds", before->fds, now->fds);
  print_if_different("timers", before->timers, now->timers);
  fflush(stdout);
  free(now);
}
