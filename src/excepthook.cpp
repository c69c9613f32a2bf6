#include "excepthook.h"

#include <underthread/interrupt.h>
#include <underthread/thread.h>

#include <cstdio>
#include <memory>
#include <utility>

#include "current_thread.h"
#include "lot/fork.h"
#include "lot/mutex.h"
#include "os/exceptions.h"
#include "os/thread_sanitizer.h"

namespace underthread {
namespace {

// Made on the heap and never destroyed at exit, since threads may outlive static destructors. Null:
// the default. Guarded by lot::settings.
constinit std::shared_ptr<const ExceptHook>* hook_setting = nullptr;

std::shared_ptr<const ExceptHook> current_hook() {
  const lot::Locked locked(lot::settings);
  os::note_after(&hook_setting);
  return hook_setting ? *hook_setting : nullptr;
}

/// One write, so that the lines of threads that die together do not mix.
void print(const ExceptHookArgs& args, const char* where) {
  std::string line = std::string("underthread: ") + args.type;
  if (!args.what.empty()) line += ": " + args.what;
  line += std::string(" ") + where + " thread ";
  if (!args.name.empty()) line += "'" + args.name + "' ";
  line += "(ident " + std::to_string(args.ident) + ")\n";
  std::fwrite(line.data(), 1, line.size(), stderr);
}

std::string what_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& known) {
    return known.what();
  } catch (...) {
    return "";
  }
}

ExceptHookArgs describe(const std::exception_ptr& thrown, const std::string& thread_name,
                        Ident ident) {
  return {thrown, os::current_exception_type(), what_of(thrown), thread_name, ident};
}

}  // namespace

void report_exception(const std::exception_ptr& thrown, const std::string& thread_name,
                      Ident ident) {
  const ExceptHookArgs args = describe(thrown, thread_name, ident);
  const std::shared_ptr<const ExceptHook> hook = current_hook();
  if (!hook) {
    print(args, "ended");
    return;
  }
  // What is pending for this thread is not the hook's business, and would end it before its report.
  const HoldInterrupts hold;
  struct Call {
    const ExceptHook& hook;
    const ExceptHookArgs& args;
  } call{*hook, args};
  os::run_contained(
      [](void* argument) {
        const auto& [called, with] = *static_cast<Call*>(argument);
        called(with);
      },
      [](void* argument) {
        const auto& [called, with] = *static_cast<Call*>(argument);
        print(with, "ended");
        print(describe(std::current_exception(), with.name, with.ident), "left the excepthook of");
      },
      &call);
}

ExceptHook set_excepthook(ExceptHook hook) {
  // Forks must be watched before the mutex that they take is used.
  current_thread();
  auto made = hook ? std::make_unique<std::shared_ptr<const ExceptHook>>(
                         std::make_shared<const ExceptHook>(std::move(hook)))
                   : nullptr;
  std::unique_ptr<std::shared_ptr<const ExceptHook>> old;
  {
    const lot::Locked locked(lot::settings);
    os::note_before(&hook_setting);
    old.reset(std::exchange(hook_setting, made.release()));
  }
  return old ? ExceptHook(**old) : ExceptHook();
}

}  // namespace underthread
