// A library that lmc uses where a machine has it: opened at run time, so that nothing of it is needed
// to build or to start lmc.
#pragma once

#include <string>
#include <type_traits>
#include <vector>

namespace lmc {

/// Stays open until the process ends.
class OptionalLibrary {
public:
  struct Description {
    const char *name;                ///< "NVIDIA's driver"
    std::vector<const char *> files; ///< as dlopen takes them; the first that opens is used
    const char *install;             ///< what to do where none opens or a function is missing
  };

  explicit OptionalLibrary(Description description);

  /// Looks a function up; null where there is none.
  template <typename Function> void find(Function *&function, const char *symbol) {
    static_assert(std::is_function_v<Function>);
    function = reinterpret_cast<Function *>(address(symbol));
  }

  /// Why it cannot be used: the loader's words for each file, or the functions that are not there.
  /// Empty: it is open and has all that was looked up so far.
  const std::string &missing() const { return why; }

private:
  void *address(const char *symbol);

  Description description;
  void *handle = nullptr;
  std::string opened, why;
};

} // namespace lmc
