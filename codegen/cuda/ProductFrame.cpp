#include "codegen/cuda/ProductFrame.h"

#include "codegen/cuda/ScalarPrinter.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace lmc::cuda {
namespace {

constexpr int kRowsAtOnce = 4; ///< of an epilogue's thread

} // namespace

std::string ProductFrame::count(ArrayRef<GridFactor> factors) {
  std::string result = "1";
  for (const GridFactor &factor : factors) {
    Extent extent{factor.mul, 0, {}};
    if (!factor.symbol.empty())
      extent.symbols.push_back(factor.symbol);
    if (factor.symbol.empty())
      result = x.mul(result, std::to_string(llvm::divideCeil(factor.mul, factor.div)));
    else if (factor.div == 1)
      result = x.mul(result, x.text(extent));
    else
      result = x.mul(result, x.div(x.add(x.text(extent), std::to_string(factor.div - 1)),
                                   std::to_string(factor.div)));
  }
  return result;
}

void ProductFrame::enterBlock() {
  int rowsOfBlock = blocking.rowsOfBlock();
  auto rowGrid = gridOf(of.m, rowsOfBlock), columnGrid = gridOf(of.n, blocking.columnsOfGrid());
  bool rowsFirst = llvm::divideCeil(of.m.max, rowsOfBlock) <=
                   llvm::divideCeil(of.n.max, blocking.columnsOfGrid());
  auto &inner = rowsFirst ? rowGrid : columnGrid, &outer = rowsFirst ? columnGrid : rowGrid;
  if (!of.batch.empty())
    grid = gridOf(x.product(of.batch));
  grid.insert(grid.end(), outer.begin(), outer.end());
  grid.insert(grid.end(), inner.begin(), inner.end());
  std::string block = x.name("index_t", "static_cast<index_t>(blockIdx.x)");
  auto split = [&](ArrayRef<GridFactor> factors, std::string &rest) {
    std::string number = count(factors);
    std::string at = number == "1" ? "0" : x.rem(rest, number);
    rest = x.div(rest, number);
    return at;
  };
  std::string innerAt = split(inner, block), outerAt = block;
  if (!of.batch.empty())
    outerAt = split(outer, block);
  batchAt = x.unflatten(of.batch.empty() ? "0" : block, of.batch);
  auto at = [&](const std::string &block, int size) { return x.mul(block, std::to_string(size)); };
  row0 = at(rowsFirst ? innerAt : outerAt, rowsOfBlock);
  column0 = at(rowsFirst ? outerAt : innerAt, blocking.columnsOfGrid());
  std::string rowsText = x.text(of.m), columnsText = x.text(of.n);

  bool both = blocking.rows && blocking.fewRows;
  if (both)
    x.line(fmt::format("const bool few = {} <= {};", rowsText, kFewRows));
  SmallVector<std::string> leave;
  if (!of.m.symbols.empty())
    leave.push_back(fmt::format("{} >= {}", row0, rowsText));
  if (both && blocking.fewColumns < blocking.columns)
    leave.push_back(fmt::format("(!few && {} % {} != 0)", column0, blocking.columns));
  if (!leave.empty()) {
    x.line(fmt::format("if ({})", llvm::join(leave, " || ")));
    x.line("  return;"); // the whole block
  }
  auto rest = [&](const std::string &name, const std::string &size, const std::string &first,
                  int most) {
    x.line(fmt::format("const int {} = static_cast<int>(lmc::minimum<index_t>({} - {}, {}));", name,
                       size, first, most));
  };
  rest("rows", rowsText, row0, rowsOfBlock);
  if (both && blocking.fewColumns < blocking.columns) {
    x.line(fmt::format("const int width = few ? {} : {};", blocking.fewColumns, blocking.columns));
    width = "width";
  } else {
    width = std::to_string(blocking.rows ? blocking.columns : blocking.fewColumns);
  }
  x.line(fmt::format("const int columns = static_cast<int>(lmc::minimum<index_t>({} - {}, {}));",
                     columnsText, column0, width));
}

void ProductFrame::storeOutputs() {
  int atOnce = blocking.rows ? kRowsAtOnce : 1;
  x.line(fmt::format("const int lane = static_cast<int>(threadIdx.x) % {};", width));
  std::string column = x.add(column0, x.name("index_t", "lmc::minimum(lane, columns - 1)"));
  std::string step = fmt::format("{} / {}", blocking.threads, width);
  if (width != "width")
    step = std::to_string(blocking.threads / std::stoi(width));
  x.line(fmt::format("const int step = {};", step));
  x.define(of.result, "sum");
  SmallVector<Value> outputs;
  for (unsigned i = 0; i < x.numOutputs(); ++i)
    outputs.push_back(x.outputValue(i));
  auto place = [&] {
    Index index;
    index.at.assign(batchAt.begin(), batchAt.end());
    llvm::append_range(index.at, x.unflatten("row", of.rows));
    index.at.push_back(column);
    index.lane = static_cast<int>(of.y.size()) - 1;
    return index;
  };
  if (of.rows.size() == 1) {
    Index any; // what is the same in all rows
    any.at.assign(batchAt.begin(), batchAt.end());
    any.at.append({"row", column});
    any.lane = static_cast<int>(of.batch.size());
    for (Value output : outputs)
      x.hoistUniform(output, any);
  }
  x.braces(fmt::format("for (int first = static_cast<int>(threadIdx.x) / {}; first < rows; first "
                       "+= {} * step)",
                       width, atOnce),
           [&] {
             for (auto [i, output] : llvm::enumerate(outputs))
               x.line(fmt::format("{} {}_at[{}];", computeType(lm::elementOf(output)), x.output(i),
                                  atOnce));
             eachRow(atOnce, [&] {
               x.line("const int local = lmc::minimum(first + u * step, rows - 1);");
               x.line(fmt::format("const index_t row = {} + local;", row0));
               x.line(fmt::format("const {} sum = sums[local * {} + lane];", number(),
                                  blocking.pitch()));
               Index index = place();
               for (auto [i, output] : llvm::enumerate(outputs))
                 x.line(fmt::format("{}_at[u] = {};", x.output(i), x.evaluate(output, index)));
             });
             eachRow(atOnce, [&] {
               x.line("const int local = first + u * step;");
               x.line(fmt::format("const index_t row = {} + local;", row0));
               x.braces("if (local < rows && lane < columns)", [&] {
                 Index index = place();
                 for (unsigned i = 0; i < x.numOutputs(); ++i)
                   x.store(i, x.output(i) + "_at[u]", index);
               });
             });
           });
}

void ProductFrame::eachRow(int atOnce, llvm::function_ref<void()> inside) {
  x.line("#pragma unroll");
  x.braces(fmt::format("for (int u = 0; u < {}; ++u)", atOnce), inside);
}

std::string ProductFrame::number() { return computeType(lm::elementOf(of.result)); }

} // namespace lmc::cuda
