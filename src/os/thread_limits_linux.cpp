#include "os/thread_limits.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <string_view>

#include <dirent.h>
#include <link.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

namespace underthread::os {
namespace {

// The C library's files: where the C++ library is linked in, the C++ ones would be most of it.

/// Calls `visit` with one piece after the other. False: there is no such file.
template <class Visit>
bool read(const std::string& path, Visit visit) {
  const auto close = [](std::FILE* opened) { std::fclose(opened); };
  const std::unique_ptr<std::FILE, decltype(close)> file(std::fopen(path.c_str(), "re"), close);
  if (!file) return false;
  std::array<char, 4096> piece;
  while (const std::size_t size = std::fread(piece.data(), 1, piece.size(), file.get()))
    visit(std::string_view(piece.data(), size));
  return true;
}

/// Of a file that is short; "": there is none.
std::string text_of(const std::string& path) {
  std::string text;
  read(path, [&](std::string_view piece) { text += piece; });
  return text;
}

std::optional<std::uint64_t> number_in(const std::string& path) {
  const std::string text = text_of(path);
  // No such file, or "max": no limit.
  if (text.empty() || !std::isdigit(static_cast<unsigned char>(text[0]))) return std::nullopt;
  return std::strtoull(text.c_str(), nullptr, 10);
}

std::size_t default_stack_size() {
  pthread_attr_t attributes;
  std::size_t size = 0;
  if (pthread_getattr_default_np(&attributes) != 0) return size;
  pthread_attr_getstacksize(&attributes, &size);
  pthread_attr_destroy(&attributes);
  return size;
}

/// Bytes of thread-local data that the program and its libraries have. The C library takes most of
/// it from the stack of a new thread, and refuses a stack that has no room for it.
std::size_t thread_local_data() {
  std::size_t bytes = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void* sum) {
        for (int i = 0; i < object->dlpi_phnum; ++i)
          if (object->dlpi_phdr[i].p_type == PT_TLS)
            *static_cast<std::size_t*>(sum) += object->dlpi_phdr[i].p_memsz;
        return 0;
      },
      &bytes);
  return bytes;
}

/// How many mappings the process has: a stack and its guard are two.
std::uint64_t mappings(const std::string& root) {
  std::uint64_t lines = 0;
  read(root + "/proc/self/maps", [&](std::string_view piece) {
    lines += static_cast<std::uint64_t>(std::count(piece.begin(), piece.end(), '\n'));
  });
  return lines;
}

/// Memory runs out for a stack before the kernel is asked for a thread; the C library says EAGAIN
/// of both. Trying the same mapping tells them apart.
std::string no_memory(std::size_t stack_size, const std::string& root) {
  const std::size_t wanted = stack_size != 0 ? stack_size : default_stack_size();
  void* stack =
      mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  if (stack != MAP_FAILED) {
    munmap(stack, wanted);
    // One more mapping went; a stack needs one more than that, for its guard.
    if (const auto most = number_in(root + "/proc/sys/vm/max_map_count");
        most && mappings(root) + 2 >= *most)
      return "vm.max_map_count allows this process " + std::to_string(*most) + " mappings";
    return "";
  }
  std::string reason = "no memory for a stack of " + std::to_string(wanted) + " bytes";
  rlimit limit{};
  if (getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    reason +=
        " (RLIMIT_AS allows this process " + std::to_string(limit.rlim_cur) + " bytes in all)";
  else if (const auto most = number_in(root + "/proc/sys/vm/max_map_count");
           most && mappings(root) + 2 >= *most)
    reason += " (vm.max_map_count allows this process " + std::to_string(*most) + " mappings)";
  return reason;
}

/// A control group's limit holds for all below it, so every one from ours to the root is asked.
std::string cgroup_full(const std::string& root) {
  const std::string groups = text_of(root + "/proc/self/cgroup");
  for (std::size_t begin = 0, end; begin < groups.size(); begin = end + 1) {
    end = std::min(groups.find('\n', begin), groups.size());
    const std::string line = groups.substr(begin, end - begin);
    // "hierarchy:controllers:path"; version 2 is "0::path".
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string mount;
    if (controllers == "pids")
      mount = "/sys/fs/cgroup/pids";
    else if (controllers.empty())
      mount = access((root + "/sys/fs/cgroup/unified/cgroup.procs").c_str(), R_OK) == 0
                  ? "/sys/fs/cgroup/unified"
                  : "/sys/fs/cgroup";
    else
      continue;
    std::string path = line.substr(second + 1);
    if (path == "/") path.clear();
    for (;;) {
      const std::string folder = mount + path;
      const auto most = number_in(root + folder + "/pids.max");
      const auto now = number_in(root + folder + "/pids.current");
      if (most && now && *now >= *most)
        return folder + "/pids.max allows " + std::to_string(*most) + " threads";
      if (path.empty()) break;
      path.resize(path.rfind('/'));
    }
  }
  return "";
}

/// All threads of the machine, from "0.00 0.00 0.00 running/total last".
std::optional<std::uint64_t> threads_of_machine(const std::string& root) {
  const std::string loads = text_of(root + "/proc/loadavg");
  const std::size_t slash = loads.find('/');
  if (slash == std::string::npos) return std::nullopt;
  return std::strtoull(loads.c_str() + slash + 1, nullptr, 10);
}

std::string machine_full(const std::string& root) {
  const auto threads = threads_of_machine(root);
  if (!threads) return "";
  for (const char* name : {"threads-max", "pid_max"}) {
    const auto most = number_in(root + "/proc/sys/kernel/" + name);
    // Both are reached a little early: the kernel keeps some for itself.
    if (most && *threads + *most / 100 + 2 >= *most)
      return std::string("kernel.") + name + " allows this machine " + std::to_string(*most) +
             (std::strcmp(name, "pid_max") == 0 ? " thread ids" : " threads");
  }
  return "";
}

/// The number behind the label, which stands at a line's beginning; 0: it is not there.
std::uint64_t number_behind(const char* label, const std::string& text) {
  const std::size_t found = text.find(std::string("\n") + label);
  return found == std::string::npos
             ? 0
             : std::strtoull(text.c_str() + found + 1 + std::strlen(label), nullptr, 10);
}

std::uint64_t threads_of_user(const std::string& root) {
  const auto close = [](DIR* opened) { closedir(opened); };
  const std::unique_ptr<DIR, decltype(close)> processes(opendir((root + "/proc").c_str()), close);
  std::uint64_t threads = 0;
  while (const dirent* const process = processes ? readdir(processes.get()) : nullptr) {
    // "self" and "thread-self" are among the numbers too.
    if (!std::isdigit(static_cast<unsigned char>(process->d_name[0]))) continue;
    // Its name is no line's beginning: the kernel shows the end of a line in it as "\\n".
    const std::string status = text_of(root + "/proc/" + process->d_name + "/status");
    if (number_behind("Uid:", status) == getuid()) threads += number_behind("Threads:", status);
  }
  return threads;
}

std::string user_full(const std::string& root) {
  rlimit limit{};
  // Root is exempt.
  if (getuid() == 0 || getrlimit(RLIMIT_NPROC, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
    return "";
  const std::uint64_t threads = threads_of_user(root);
  if (threads < limit.rlim_cur) return "";
  return "RLIMIT_NPROC allows this user " + std::to_string(limit.rlim_cur) + " threads, who has " +
         std::to_string(threads);
}

}  // namespace

std::string why_no_thread(int error, std::size_t stack_size, const std::string& root) {
  std::string reason = std::strerror(error);
  if (error == EINVAL && stack_size != 0)
    return reason + ": a stack of " + std::to_string(stack_size) + " bytes has no room for the " +
           std::to_string(thread_local_data()) +
           " bytes of thread-local data that the program and its libraries have";
  if (error != EAGAIN && error != ENOMEM) return reason;
  std::string limit = no_memory(stack_size, root);
  if (limit.empty()) limit = cgroup_full(root);
  if (limit.empty()) limit = user_full(root);
  if (limit.empty()) limit = machine_full(root);
  return limit.empty() ? reason : reason + ": " + limit;
}

}  // namespace underthread::os
