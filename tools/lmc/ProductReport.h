// Who computes the products of an executable that was compiled with --products library.
#pragma once

#include "runtime/Executable.h"

#include <nlohmann/json.hpp>

#include <map>
#include <string>

namespace lmc {

/// Launches of all programs.
struct ProductCounts {
  uint64_t library = 0; ///< by cuBLASLt, from `leastRows` rows on
  int64_t leastRows = 0;
  std::map<std::string, uint64_t> generated; ///< by kernels of our own, and why
  bool any() const { return library > 0 || !generated.empty(); }
};
ProductCounts countProducts(const executable::Executable &message);

/// Nothing where there are none.
void printProducts(const ProductCounts &products);
nlohmann::ordered_json productsJson(const ProductCounts &products);

/// For a launch's line: "  cuBLASLt from 9 rows on", "  generated: stores more than one result", or "".
std::string productNote(const executable::Kernel &kernel);

} // namespace lmc
