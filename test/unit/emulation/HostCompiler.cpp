#include "HostCompiler.h"

#include "runtime/Error.h"

#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <fstream>

namespace lmc::test {

namespace fs = std::filesystem;

static std::string quoted(const fs::path &path) { return "'" + path.string() + "'"; }

/// LMC_EMULATE for each kernel of the text.
static std::string entriesOf(const std::string &text) {
  constexpr std::string_view kBegin = "__global__ void ", kBounds = "__launch_bounds__(";
  std::string entries;
  for (size_t at = 0; (at = text.find(kBegin, at)) != std::string::npos;) {
    at += kBegin.size();
    if (text.compare(at, kBounds.size(), kBounds) == 0)
      at = text.find_first_not_of(" \n", text.find(')', at) + 1);
    size_t name = at;
    at = text.find('(', name);
    entries += "LMC_EMULATE(" + text.substr(name, at - name) + ")\n";
  }
  return entries;
}

HostCompiler::HostCompiler(std::string flags) : flags(std::move(flags)) {
  std::string pattern = (fs::temp_directory_path() / "lmc-emulation-XXXXXX").string();
  if (!mkdtemp(pattern.data()))
    fail("cannot make a folder like {}", pattern);
  folder = pattern;
  // Compiled ahead: most of a kernel's compile time is its headers. Both compilers look for that name.
  std::ofstream(folder / "emulation.hpp") << "#include \"emulation.h\"\n";
  run("-x c++-header " + quoted(folder / "emulation.hpp") + " -o " +
      quoted(folder / "emulation.hpp.gch"));
}

HostCompiler::~HostCompiler() { fs::remove_all(folder); }

fs::path HostCompiler::sharedObject(const std::string &text) {
  return make(text + entriesOf(text), "-shared");
}

fs::path HostCompiler::program(const std::string &text, const std::string &main) {
  // Entries are looked up by name.
  return make(text + entriesOf(text) + main, "-rdynamic");
}

fs::path HostCompiler::make(const std::string &text, const char *kind) {
  fs::path base;
  {
    std::lock_guard lock(mutex);
    if (auto known = made.find(text); known != made.end())
      return known->second;
    base = folder / std::to_string(count++);
  }
  fs::path source = base.string() + ".cpp";
  // Unrolling is for GPUs; here it would cost the compiler half of its time.
  std::string plain = text;
  for (size_t at = 0; (at = plain.find("#pragma unroll", at)) != std::string::npos;)
    plain.replace(at, 2, "//");
  std::ofstream(source) << plain;
  run(std::string(kind) + " -include " + quoted(folder / "emulation.hpp") + " " + quoted(source) +
      " -o " + quoted(base));
  std::lock_guard lock(mutex);
  return made.emplace(text, base).first->second;
}

void HostCompiler::run(const std::string &arguments) const {
  std::string command = "'" LMC_HOST_CXX "' -std=c++17 -O1 -w -ffp-contract=off -fPIC "
                        "-I'" LMC_DEVICE_FOLDER "' " +
                        flags + " " + arguments + " 2>&1";
  FILE *pipe = popen(command.c_str(), "r");
  if (!pipe)
    fail("cannot start the host's compiler: {}", command);
  std::string said;
  std::array<char, 4096> part;
  while (size_t bytes = fread(part.data(), 1, part.size(), pipe))
    said.append(part.data(), bytes);
  if (int status = pclose(pipe); status != 0)
    fail("the host's compiler refused kernels (status {}): {}\n{}", status, command,
         said.substr(0, 8000));
}

} // namespace lmc::test
