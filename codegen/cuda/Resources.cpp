#include "codegen/cuda/Resources.h"

#include "runtime/Error.h"

#include "llvm/ADT/StringRef.h"

#include <algorithm>
#include <regex>

namespace lmc::cuda {
namespace {

/// The number before or within a phrase of ptxas: "(\\d+) bytes smem"; 0 where it does not occur,
/// which is how ptxas says none.
unsigned numberIn(const std::string &text, const char *phrase) {
  std::smatch found;
  return std::regex_search(text, found, std::regex(phrase)) ? std::stoul(found[1]) : 0;
}

} // namespace

Resources resourcesOf(const Kernel &kernel, std::span<const char> cubin, const std::string &log) {
  // ptxas has a part for each entry function, and lists other functions' stacks within it.
  const std::string entry = "Compiling entry function '";
  size_t first = log.find(entry + kernel.name + "'");
  std::string part =
      first == std::string::npos ? "" : log.substr(first, log.find(entry, first + 1) - first);
  Resources resources;
  resources.registers = numberIn(part, "Used ([0-9]+) registers");
  if (resources.registers == 0)
    fail("NVRTC's log does not tell the registers of '{}':\n{}", kernel.name, log);
  resources.spillStoreBytes = numberIn(part, "([0-9]+) bytes spill stores");
  resources.spillLoadBytes = numberIn(part, "([0-9]+) bytes spill loads");
  resources.localBytes = std::max(numberIn(part, "([0-9]+) bytes stack frame"),
                                  numberIn(part, "([0-9]+) bytes cumulative stack size"));
  resources.staticSharedBytes = numberIn(part, "([0-9]+) bytes smem");
  resources.dynamicSharedBytes = kernel.sharedBytes;
  resources.threads = kernel.block;
  resources.instructions = instructionsOf(cubin, kernel.name);
  return resources;
}

std::vector<std::string> warningsOf(const std::string &log) {
  std::vector<std::string> warnings;
  llvm::SmallVector<llvm::StringRef> lines;
  llvm::StringRef(log).split(lines, '\n');
  for (llvm::StringRef line : lines)
    if (line.contains("warning") || line.contains("(C75"))
      warnings.push_back(line.trim().str());
  return warnings;
}

} // namespace lmc::cuda
