#include "engine/symbols.h"

#include <cxxabi.h>
#include <elf.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string_view>

namespace explore {
namespace {

struct Object {
  std::uintptr_t begin, size;
  std::string name;
};

// The program is not position-independent: what its file says is where things are.
std::vector<Object> read_objects() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::string image((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<Object> objects;
  if (image.size() < sizeof(Elf64_Ehdr)) return objects;
  Elf64_Ehdr header;
  std::memcpy(&header, image.data(), sizeof header);
  const auto section = [&](std::size_t number) {
    Elf64_Shdr found;
    std::memcpy(&found, image.data() + header.e_shoff + number * header.e_shentsize, sizeof found);
    return found;
  };
  for (std::size_t i = 0; i < header.e_shnum; ++i) {
    const Elf64_Shdr table = section(i);
    if (table.sh_type != SHT_SYMTAB) continue;
    const Elf64_Shdr strings = section(table.sh_link);
    for (std::size_t at = 0; at + sizeof(Elf64_Sym) <= table.sh_size; at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol;
      std::memcpy(&symbol, image.data() + table.sh_offset + at, sizeof symbol);
      if (ELF64_ST_TYPE(symbol.st_info) == STT_OBJECT && symbol.st_size > 0)
        objects.push_back(
            {symbol.st_value, symbol.st_size, image.data() + strings.sh_offset + symbol.st_name});
    }
  }
  return objects;
}

}  // namespace

std::string object_at(std::uintptr_t address) {
  static const std::vector<Object> objects = read_objects();
  for (const Object& object : objects) {
    if (address - object.begin >= object.size) continue;
    int status = 0;
    char* plain = abi::__cxa_demangle(object.name.c_str(), nullptr, nullptr, &status);
    std::ostringstream text;
    text << (plain ? plain : object.name.c_str());
    std::free(plain);
    if (address > object.begin) text << "+0x" << std::hex << address - object.begin;
    return text.str();
  }
  return "";
}

std::map<void*, std::string> source_of(const std::vector<void*>& code) {
  std::map<void*, std::string> found;
  if (code.empty()) return found;
  std::array<char, 4096> own{};
  if (readlink("/proc/self/exe", own.data(), own.size() - 1) < 0) return found;
  std::ostringstream command;
  command << "addr2line --addresses --inlines --functions --demangle --exe '" << own.data() << "'";
  // One back: a return address is that of the next instruction.
  for (void* pc : code) command << ' ' << static_cast<void*>(static_cast<char*>(pc) - 1);
  command << " 2>&1";
  FILE* pipe = popen(command.str().c_str(), "r");
  if (!pipe) return found;
  std::vector<std::string> lines;
  std::string line;
  for (int c; (c = std::fgetc(pipe)) != EOF;) {
    if (c != '\n') {
      line += static_cast<char>(c);
      continue;
    }
    lines.push_back(line);
    line.clear();
  }
  pclose(pipe);
  // 0xADDRESS, then pairs of function and file:line, the innermost first.
  void* pc = nullptr;
  for (std::size_t i = 0; i < lines.size();) {
    if (lines[i].starts_with("0x")) {
      pc = reinterpret_cast<void*>(std::stoull(lines[i], nullptr, 16) + 1);
      ++i;
      continue;
    }
    if (i + 1 == lines.size()) break;
    const std::string& function = lines[i];
    std::string place = lines[i + 1];
    i += 2;
    // By its whole path: what is above the project may be called src, tests or c++ too.
    constexpr std::string_view project = UNDERTHREAD_SOURCE_DIR "/";
    if (place.starts_with(project)) place.erase(0, project.size());
    if (place.find("/c++/") != std::string::npos || place.starts_with("??") || found.contains(pc))
      continue;
    place = place.substr(0, place.find(" (discriminator"));
    found[pc] = place + "  " + function.substr(0, function.find('('));
  }
  return found;
}

}  // namespace explore
