#include "Cubin.h"

#include <cstdint>
#include <cstring>
#include <regex>

namespace lmc::test {

Opcodes opcodesOf(const std::vector<char> &cubin, const std::string &kernel) {
  Opcodes count;
  auto word = [&](size_t at, size_t bytes) {
    uint64_t value = 0;
    std::memcpy(&value, cubin.data() + at, bytes);
    return value;
  };
  // ELF64: the table of sections, and among them that of the names. An instruction has 16 bytes.
  size_t table = word(40, 8), size = word(58, 2), number = word(60, 2);
  size_t names = word(table + word(62, 2) * size + 24, 8);
  for (size_t header = table; header < table + number * size; header += size) {
    if (cubin.data() + names + word(header, 4) != ".text." + kernel)
      continue;
    size_t begin = word(header + 24, 8), end = begin + word(header + 32, 8);
    for (size_t at = begin; at + 16 <= end; at += 16) {
      uint64_t opcode = word(at, 2) & 0xfff;
      ++count.all;
      count.hmma += opcode == 0x23c;
      count.ldsm += opcode == 0x83b;
      count.copies += opcode == 0xfae;
      count.products += (opcode & 0x1ff) == 0x1f0;
      count.tileCopies += opcode == 0x5b4;
      count.local += opcode == 0x983 || opcode == 0x387;
    }
  }
  return count;
}

std::string reportOf(const std::string &log, const std::string &kernel) {
  size_t first = log.find("Compiling entry function '" + kernel + "'");
  if (first == std::string::npos)
    return "";
  return log.substr(first, log.find("Compiling entry function", first + 1) - first);
}

unsigned registersOf(const std::string &report) {
  std::smatch found;
  bool any = std::regex_search(report, found, std::regex("Used ([0-9]+) registers"));
  return any ? std::stoul(found[1]) : 0;
}

} // namespace lmc::test
