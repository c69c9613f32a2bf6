// Symbols: names for addresses of the running program, for traces and messages.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace explore {

/// The static object that an address is in, "underthread::lot::(anonymous
/// namespace)::buckets+0x40";
/// "": none.
std::string object_at(std::uintptr_t address);

/// For each code address, "src/lock.cpp:42 underthread::Lock::acquire": the innermost function that
/// is not the standard library's. What cannot be told is missing.
std::map<void*, std::string> source_of(const std::vector<void*>& code);

}  // namespace explore
