#include "codegen/cuda/Cubin.h"

#include "runtime/Error.h"

#include "llvm/Object/ELFObjectFile.h"

namespace lmc::cuda {
namespace {

/// Adds one instruction, given its first eight bytes. What it does stands in the lowest 12 bits; the
/// upper three of those are a variant of HGMMA's operands.
void count(uint64_t word, InstructionCounts &counts) {
  ++counts.all;
  if ((word & 0x1ff) == 0x1f0)
    ++counts.hgmma;
  switch (word & 0xfff) {
  case 0x23c:
    ++counts.hmma;
    break;
  case 0x237:
    ++counts.imma;
    break;
  case 0x83b:
    ++counts.ldsm;
    break;
  case 0xfae:
    ++counts.ldgsts;
    break;
  case 0x5b4:
    ++counts.utmaldg;
    break;
  case 0x983:
    ++counts.ldl;
    break;
  case 0x387:
    ++counts.stl;
    break;
  default:
    break;
  }
}

} // namespace

InstructionCounts instructionsOf(std::span<const char> cubin, const std::string &kernel) {
  constexpr size_t kInstructionBytes = 16;
  auto refuse = [&](const std::string &why) {
    fail("the cubin of '{}' cannot be read: {}", kernel, why);
  };
  auto elf = llvm::object::ELF64LEFile::create(llvm::StringRef(cubin.data(), cubin.size()));
  if (!elf)
    refuse(llvm::toString(elf.takeError()));
  auto sections = elf->sections();
  if (!sections)
    refuse(llvm::toString(sections.takeError()));
  for (const auto &section : *sections) {
    auto name = elf->getSectionName(section);
    if (!name)
      refuse(llvm::toString(name.takeError()));
    if (*name != ".text." + kernel)
      continue;
    auto code = elf->getSectionContents(section);
    if (!code)
      refuse(llvm::toString(code.takeError()));
    InstructionCounts counts;
    for (size_t at = 0; at + kInstructionBytes <= code->size(); at += kInstructionBytes)
      count(llvm::support::endian::read64le(code->data() + at), counts);
    return counts;
  }
  refuse("it has no section .text." + kernel);
  llvm_unreachable("refuse throws");
}

} // namespace lmc::cuda
