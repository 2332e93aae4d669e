#include "runtime/HostMemory.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>

namespace lmc {

int64_t hostMemoryBytes(const std::filesystem::path &membership,
                        const std::filesystem::path &cgroups) {
  int64_t bytes = int64_t(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
  std::ifstream lines(membership);
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("0::/"))
      continue; // a controller of v1
    std::filesystem::path group = line.substr(4);
    while (true) {
      int64_t limit = 0; // the file says "max" where there is none
      if (std::ifstream(cgroups / group / "memory.max") >> limit && limit > 0)
        bytes = std::min(bytes, limit);
      if (group.empty())
        break;
      group = group.parent_path();
    }
  }
  return bytes;
}

} // namespace lmc
