#include "os/thread_limits.h"

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <system_error>

#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

namespace underthread::os {
namespace {

std::optional<std::uint64_t> number_in(const std::string& path) {
  std::ifstream file(path);
  std::uint64_t number = 0;
  if (file >> number) return number;
  return std::nullopt;  // no such file, or "max": no limit
}

std::size_t default_stack_size() {
  pthread_attr_t attributes;
  std::size_t size = 0;
  if (pthread_getattr_default_np(&attributes) != 0) return size;
  pthread_attr_getstacksize(&attributes, &size);
  pthread_attr_destroy(&attributes);
  return size;
}

/// How many mappings the process has: a stack and its guard are two.
std::uint64_t mappings(const std::string& root) {
  std::ifstream file(root + "/proc/self/maps");
  std::uint64_t lines = 0;
  for (std::string line; std::getline(file, line);) ++lines;
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
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    // "hierarchy:controllers:path"; version 2 is "0::path".
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    std::string mount;
    if (controllers == "pids")
      mount = "/sys/fs/cgroup/pids";
    else if (controllers.empty())
      mount = std::ifstream(root + "/sys/fs/cgroup/unified/cgroup.procs") ? "/sys/fs/cgroup/unified"
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
  std::ifstream file(root + "/proc/loadavg");
  std::string word;
  for (int i = 0; i < 4; ++i) file >> word;
  const std::size_t slash = word.find('/');
  if (!file || slash == std::string::npos) return std::nullopt;
  return std::strtoull(word.c_str() + slash + 1, nullptr, 10);
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

std::uint64_t threads_of_user(const std::string& root) {
  std::uint64_t threads = 0;
  std::error_code unreadable;
  for (const auto& entry : std::filesystem::directory_iterator(root + "/proc", unreadable)) {
    std::ifstream status(entry.path() / "status");
    std::uint64_t user = 0;
    std::uint64_t count = 0;
    for (std::string word; status >> word;) {
      if (word == "Uid:") status >> user;
      if (word == "Threads:") status >> count;
    }
    if (count != 0 && user == getuid()) threads += count;
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
  if (error != EAGAIN && error != ENOMEM) return reason;
  std::string limit = no_memory(stack_size, root);
  if (limit.empty()) limit = cgroup_full(root);
  if (limit.empty()) limit = user_full(root);
  if (limit.empty()) limit = machine_full(root);
  return limit.empty() ? reason : reason + ": " + limit;
}

}  // namespace underthread::os
