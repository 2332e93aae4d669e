#include "tools/lmc/ProductReport.h"

#include <fmt/format.h>

namespace lmc {

ProductCounts countProducts(const executable::Executable &message) {
  ProductCounts counts;
  for (const executable::Program &program : message.programs())
    for (const executable::Launch &launch : program.launches()) {
      const executable::Kernel &kernel = message.kernels(static_cast<int>(launch.kernel()));
      if (kernel.has_library()) {
        ++counts.library;
        counts.leastRows = kernel.library().least_rows();
      } else if (!kernel.no_library().empty()) {
        ++counts.generated[kernel.no_library()];
      }
    }
  return counts;
}

void printProducts(const ProductCounts &products) {
  if (!products.any())
    return;
  uint64_t generated = 0;
  for (auto &[why, count] : products.generated)
    generated += count;
  fmt::print("products: {} launches by cuBLASLt where it is installed (from {} rows on), {} by "
             "generated kernels\n",
             products.library, products.leastRows, generated);
  for (auto &[why, count] : products.generated)
    fmt::print("  {:>6}  {}\n", count, why);
}

nlohmann::ordered_json productsJson(const ProductCounts &products) {
  nlohmann::ordered_json json = {{"library", products.library},
                                 {"least_rows", products.leastRows},
                                 {"generated", nlohmann::ordered_json::array()}};
  for (auto &[why, count] : products.generated)
    json["generated"].push_back({{"why", why}, {"count", count}});
  return json;
}

std::string productNote(const executable::Kernel &kernel) {
  if (kernel.has_library())
    return fmt::format("  cuBLASLt from {} rows on", kernel.library().least_rows());
  return kernel.no_library().empty() ? "" : "  generated: " + kernel.no_library();
}

} // namespace lmc
