#include "runtime/OptionalLibrary.h"

#include <dlfcn.h>
#include <fmt/format.h>

namespace lmc {

OptionalLibrary::OptionalLibrary(Description given) : description(std::move(given)) {
  std::string refusals;
  for (const char *file : description.files) {
    if ((handle = ::dlopen(file, RTLD_NOW | RTLD_LOCAL))) {
      opened = file;
      return;
    }
    // The loader may speak of another file, which this one needs.
    std::string words = ::dlerror();
    std::string tried = words.starts_with(file) ? words : fmt::format("{}: {}", file, words);
    refusals += (refusals.empty() ? "" : "; ") + tried;
  }
  why = fmt::format("{} was not found ({}); {}", description.name, refusals, description.install);
}

void *OptionalLibrary::address(const char *symbol) {
  void *found = handle ? ::dlsym(handle, symbol) : nullptr;
  if (handle && !found && why.empty())
    why =
        fmt::format("{} ({}) lacks {}; {}", description.name, opened, symbol, description.install);
  return found;
}

} // namespace lmc
