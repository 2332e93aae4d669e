// The matmul family: a product and the fused pointwise ops that finish it.
//
// Mapping: a block computes a tile of the result, 128 x 128 (256 threads) where that gives every
// multiprocessor one, else 64 x 64 (128 threads); up to 8 rows it computes 16 or 32 columns of all
// of them and reads the right side once (device/product.cuh). A symbolic number of rows chooses
// when it runs. Sums wait in shared memory for the epilogue, where a thread has one column and takes
// several rows at a time: all are read before any is stored. Shared memory: three stages of both
// operands or the tile's sums, up to 68 KiB. Limit: arithmetic; memory bandwidth with few rows.
//
// sm_90a: large tiles of two bf16 operands that tensor maps can describe are multiplied by warpgroups
// (device/product_hopper.cuh), with a warp more that copies and 96 KiB; what is rounded on the way and
// what is not aligned to 16 bytes stays as above.
#include "codegen/cuda/Expression.h"

#include "codegen/cuda/ScalarPrinter.h"
#include "runtime/Error.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MathExtras.h"

#include <algorithm>

using namespace mlir;

namespace lmc::cuda {
namespace {

constexpr int64_t kFewRows = 8;
/// Large tiles where they give so many blocks: the multiprocessors of an H100.
constexpr int64_t kLargeTiles = 132;
constexpr int kStages = 3;
constexpr unsigned kCopyThreads = 32; ///< beside those that warpgroups multiply with
constexpr int kRowsAtOnce = 4;        ///< of an epilogue's thread

/// One operand as the kernel's text sees it.
struct Side {
  TracedOperand traced;
  Extent across, depth; ///< steps
  SmallVector<Extent> batch;
  bool alongDepth = true; ///< which of the two is contiguous
  int64_t chunk = 1;      ///< elements that are aligned together

  Type storage() { return lm::elementOf(traced.buffer); }
  std::string type() const {
    return fmt::format("lmc::Operand<{}, {}, {}, {}>", storageType(lm::elementOf(traced.buffer)),
                       storageType(traced.element), alongDepth, chunk);
  }
};

/// Sizes of a block's work. rows 0: the kernel has no tiles.
struct Blocking {
  int rows = 0, columns = 0, depth = 0;
  int fewRows = 0; ///< most rows of the other way, a power of two; 0: not in this kernel
  int fewColumns = 0;
  unsigned threads = 128;  ///< that compute
  bool warpgroups = false; ///< tiles by those of sm_90a

  int pitch() const { return rows ? columns + 8 : fewColumns; }
  int columnsOfGrid() const { return fewRows ? fewColumns : columns; }
};

class ProductEmitter {
public:
  ProductEmitter(Expression &x) : x(x) {
    for (Operation &inner : x.body)
      if (auto found = dyn_cast<lm::MatmulOp>(inner))
        op = found;
    if (op.getPanelColumns())
      fail("'{}': weights packed as panels (panel_columns) have no CUDA kernel; leave "
           "lm-pack-weights "
           "out of the pipeline for this target",
           lm::modelPath(op.getLoc()));
    y = lm::shapeOf(op.getY());
    a.traced = traceOperand(op.getA());
    b.traced = traceOperand(op.getB());
    lm::Shape shapeA = lm::shapeOf(op.getA());
    bool shared = lm::shapeOf(op.getB()).size() == 2;
    // Leading dimensions of a shared right side are more rows where the left side lies densely.
    bool merged = shared && a.traced.whole && y.size() > 2;
    batch = merged ? ArrayRef<lm::Dim>() : ArrayRef<lm::Dim>(y).drop_back(2);
    rows = ArrayRef<lm::Dim>(y).drop_back().drop_front(batch.size());
    m = x.product(rows);
    // A grid divides the first symbol: the longest one leaves the fewest blocks without rows.
    llvm::StringMap<int64_t> most;
    for (const lm::Dim &dim : rows)
      if (!dim.isStatic())
        most[dim.symbol.getValue()] = x.product(dim).max;
    llvm::sort(m.symbols, [&](const std::string &one, const std::string &other) {
      int64_t here = most.lookup(one), there = most.lookup(other);
      return here != there ? here > there : one < other;
    });
    n = x.product(y.back());
    k = x.product(op.getTransposeA() ? shapeA[shapeA.size() - 2] : shapeA.back());
    describe(a, m, op.getTransposeA(), /*batched=*/true);
    describe(b, n, !op.getTransposeB(), !shared);
    choose();
  }

  Launch emit() {
    enterBlock();
    multiply();
    storeOutputs();
    unsigned threads = blocking.threads + (blocking.warpgroups ? kCopyThreads : 0);
    return {grid, threads, mapping(), sharedBytes(), blocking.threads == 256 ? 2u : 0u};
  }

private:
  /// Steps of an operand [batch.., across, depth], or with the two swapped, and how memory runs.
  void describe(Side &side, const Extent &size, bool swapped, bool batched) {
    auto steps = ArrayRef<lm::Shape>(side.traced.steps);
    side.across = x.product(steps[steps.size() - (swapped ? 1 : 2)]);
    side.depth = x.product(steps[steps.size() - (swapped ? 2 : 1)]);
    for (size_t i = 0; i < batch.size(); ++i) {
      Extent none;
      none.factor = none.max = 0;
      side.batch.push_back(batched ? x.product(steps[i]) : none);
    }
    Type storage = side.storage();
    if (storage.isF64() && side.traced.element.isBF16())
      fail("'{}': products for CUDA do not round f64 to bf16; round to f32 first",
           lm::modelPath(op.getLoc()));
    side.alongDepth = side.depth.is(1) || !side.across.is(1);
    if (!side.depth.is(1) && !side.across.is(1))
      return;
    // Buffers begin at multiples of 16 bytes; a chunk does where every step to it is one.
    side.chunk = 16 / (storage.getIntOrFloatBitWidth() / 8);
    auto align = [&](int64_t step) {
      while (step % side.chunk)
        side.chunk /= 2;
    };
    const Extent &lines = side.alongDepth ? size : k;
    if (!lines.is(1))
      align((side.alongDepth ? side.across : side.depth).factor);
    for (auto [i, step] : llvm::enumerate(side.batch))
      if (!x.product(batch[i]).is(1))
        align(step.factor);
    for (auto &[start, step] : side.traced.starts)
      align(start * x.product(step).factor);
  }

  void choose() {
    Type element = a.traced.element;
    int64_t batches = x.product(batch).max;
    bool fixed = m.symbols.empty();
    if (!fixed || m.factor <= kFewRows) {
      blocking.fewRows = static_cast<int>(llvm::PowerOf2Ceil(std::min(m.max, kFewRows)));
      blocking.fewColumns = b.alongDepth ? 16 : 32;
    }
    if (m.max <= kFewRows)
      return;
    int64_t tiles = batches * llvm::divideCeil(m.max, 128) * llvm::divideCeil(n.max, 128);
    bool large = tiles >= kLargeTiles && m.max > 64 && n.max > 64 && !element.isF64();
    blocking.rows = blocking.columns = large ? 128 : 64;
    blocking.warpgroups = large && x.hasWarpgroups && fitsTensorMap(a) && fitsTensorMap(b);
    blocking.depth = blocking.warpgroups ? 64 : element.isBF16() ? 32 : element.isF64() ? 8 : 16;
    blocking.threads = large ? 256 : 128;
    // With many rows blocks are as wide as tiles; with up to one tile of them narrow blocks share out
    // the columns and most of them leave where there are more than a few rows.
    if (blocking.fewRows && m.max > 64)
      blocking.fewColumns = blocking.columns;
  }

  /// How many blocks a grid's factors give.
  std::string count(ArrayRef<GridFactor> factors) {
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

  /// Finds the block's place: batch, then the longer of rows and columns, then the shorter, so that
  /// blocks that run together read the same lines of both sides.
  void enterBlock() {
    int rowsOfBlock = blocking.rows ? blocking.rows : static_cast<int>(kFewRows);
    auto rowGrid = gridOf(m, rowsOfBlock), columnGrid = gridOf(n, blocking.columnsOfGrid());
    bool rowsFirst =
        llvm::divideCeil(m.max, rowsOfBlock) <= llvm::divideCeil(n.max, blocking.columnsOfGrid());
    auto &inner = rowsFirst ? rowGrid : columnGrid, &outer = rowsFirst ? columnGrid : rowGrid;
    if (!batch.empty())
      grid = gridOf(x.product(batch));
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
    if (!batch.empty())
      outerAt = split(outer, block);
    batchAt = x.unflatten(batch.empty() ? "0" : block, batch);
    auto at = [&](const std::string &block, int size) {
      return x.mul(block, std::to_string(size));
    };
    row0 = at(rowsFirst ? innerAt : outerAt, rowsOfBlock);
    column0 = at(rowsFirst ? outerAt : innerAt, blocking.columnsOfGrid());
    rowsText = x.text(m);
    columnsText = x.text(n);

    bool both = blocking.rows && blocking.fewRows;
    if (both)
      x.line(fmt::format("const bool few = {} <= {};", rowsText, kFewRows));
    SmallVector<std::string> leave;
    if (!m.symbols.empty())
      leave.push_back(fmt::format("{} >= {}", row0, rowsText));
    if (both && blocking.fewColumns < blocking.columns)
      leave.push_back(fmt::format("(!few && {} % {} != 0)", column0, blocking.columns));
    if (!leave.empty()) {
      x.line(fmt::format("if ({})", llvm::join(leave, " || ")));
      x.line("  return;"); // the whole block
    }
    auto rest = [&](const std::string &name, const std::string &size, const std::string &first,
                    int most) {
      x.line(fmt::format("const int {} = static_cast<int>(lmc::minimum<index_t>({} - {}, {}));",
                         name, size, first, most));
    };
    rest("rows", rowsText, row0, rowsOfBlock);
    if (both && blocking.fewColumns < blocking.columns) {
      x.line(
          fmt::format("const int width = few ? {} : {};", blocking.fewColumns, blocking.columns));
      width = "width";
    } else {
      width = std::to_string(blocking.rows ? blocking.columns : blocking.fewColumns);
    }
    x.line(fmt::format("const int columns = static_cast<int>(lmc::minimum<index_t>({} - {}, {}));",
                       columnsText, column0, width));
  }

  void declare(Side &side, const char *name, const std::string &first, const char *size) {
    std::string at = x.mul(first, x.text(side.across));
    for (auto [i, step] : llvm::enumerate(side.batch))
      at = x.add(at, x.mul(batchAt[i], x.text(step)));
    for (auto &[start, step] : side.traced.starts)
      at = x.add(at, x.mul(std::to_string(start), x.text(x.product(step))));
    x.line(fmt::format("const {} {} = {{{} + {}, {}, {}, {}}};", side.type(), name,
                       x.input(side.traced.buffer.getArgNumber()), at, x.text(side.across),
                       x.text(side.depth), size));
  }

  void leaveUnless(const std::string &condition) {
    x.line(fmt::format("if (!({}))", condition));
    x.line("  return;");
  }

  /// bf16 as it is multiplied, aligned to 16 bytes, in a place that does not depend on symbols.
  bool fitsTensorMap(Side &side) {
    for (auto &[start, step] : side.traced.starts)
      if (start != 0 && !x.product(step).symbols.empty())
        return false;
    return side.storage().isBF16() && side.traced.element.isBF16() && side.chunk == 8 &&
           batch.size() <= 2;
  }

  /// The map of an operand and where this block's batch entry lies in it: depth and across, the
  /// contiguous one first, then batch dimensions, last first. A box has 64 elements of a line; lines
  /// along the depth: all of a tile's.
  std::string tensorMap(Side &side, const Extent &size) {
    TensorMap map;
    map.buffer = side.traced.buffer.getArgNumber();
    for (auto &[start, step] : side.traced.starts)
      map.offset += start == 0 ? 0 : 2 * start * x.product(step).factor;
    std::string at = "0, 0";
    auto add = [&](const Extent &extent, Extent step, unsigned box) {
      map.sizes.push_back(gridOf(extent));
      map.box.push_back(box);
      if (map.sizes.size() == 1)
        return;
      step.factor *= 2;
      if (extent.is(1))
        step = {16, 16, {}}; // nobody goes there
      map.strides.push_back(gridOf(step));
    };
    unsigned lines = side.alongDepth ? blocking.rows : blocking.depth;
    add(side.alongDepth ? k : size, {}, 64);
    add(side.alongDepth ? size : k, side.alongDepth ? side.across : side.depth, lines);
    bool isBatched = llvm::any_of(side.batch, [](const Extent &step) { return step.factor != 0; });
    for (size_t i = isBatched ? batch.size() : 0; i-- > 0;) {
      add(x.product(batch[i]), side.batch[i], 1);
      at += fmt::format(", static_cast<int>({})", batchAt[i]);
    }
    size_t rank = map.sizes.size();
    return fmt::format("{}, lmc::Coordinates<{}>{{{{{}}}}}", x.tensorMap(std::move(map)), rank, at);
  }

  void multiply() {
    if (blocking.fewRows || !blocking.warpgroups) {
      declare(a, "a", row0, "rows");
      declare(b, "b", column0, "columns");
    }
    std::string depth = fmt::format("static_cast<int>({})", x.text(k));
    if (k.symbols.empty())
      depth = x.text(k);
    std::string few, tiles;
    if (blocking.fewRows)
      few = fmt::format("lmc::multiplyFewRows<{}, {}, {}, {}>(a, b, {})", blocking.fewRows,
                        blocking.fewColumns, blocking.pitch(), blocking.threads, depth);
    if (blocking.warpgroups) {
      x.line(fmt::format("using Tiles = lmc::WarpgroupTiles<{}, {}, {}>;", a.alongDepth,
                         b.alongDepth, kStages));
      x.line(fmt::format("static_assert(Tiles::kBytes <= {} && Tiles::kConsumers == {}, \"\");",
                         sharedBytes(), blocking.threads));
      std::string left = tensorMap(a, m), right = tensorMap(b, n);
      tiles = fmt::format("lmc::multiplyByWarpgroups<Tiles>({}, {}, static_cast<int>({}), "
                          "static_cast<int>({}), {})",
                          left, right, row0, column0, depth);
      if (blocking.fewRows)
        leaveUnless(fmt::format("!few || threadIdx.x < {}", blocking.threads));
    } else if (blocking.rows) {
      x.line(fmt::format("using Tiles = lmc::Tiles<{}, {}, {}, {}, {}>;", blocking.rows,
                         blocking.columns, blocking.depth, kStages, blocking.threads));
      tiles = fmt::format("lmc::multiplyTiles<Tiles>(a, b, {})", depth);
    }
    x.line(fmt::format("const {} *sums = {};", number(),
                       few.empty()     ? tiles
                       : tiles.empty() ? few
                                       : fmt::format("few ? {} : {}", few, tiles)));
    if (blocking.warpgroups)
      leaveUnless(fmt::format("threadIdx.x < {}", blocking.threads));
    // What the launch gives was computed in this file.
    if (blocking.rows && !blocking.warpgroups)
      x.line(fmt::format("static_assert(lmc::tilesBytes<Tiles, decltype(a), decltype(b)>() <= {});",
                         sharedBytes()));
    if (blocking.fewRows)
      x.line(fmt::format("static_assert(lmc::fewRowsBytes<{}, {}, {}, {}, decltype(b)>() <= {});",
                         blocking.fewRows, blocking.fewColumns, blocking.pitch(), blocking.threads,
                         sharedBytes()));
  }

  /// A thread has one column of the block and every so many rows; it reads for some rows before it
  /// stores them, so that their loads run together. Elements beyond the ends repeat the last.
  void storeOutputs() {
    int atOnce = blocking.rows ? kRowsAtOnce : 1;
    x.line(fmt::format("const int lane = static_cast<int>(threadIdx.x) % {};", width));
    std::string column = x.add(column0, x.name("index_t", "lmc::minimum(lane, columns - 1)"));
    std::string step = fmt::format("{} / {}", blocking.threads, width);
    if (width != "width")
      step = std::to_string(blocking.threads / std::stoi(width));
    x.line(fmt::format("const int step = {};", step));
    x.define(op.getY(), "sum");
    SmallVector<Value> outputs;
    for (unsigned i = 0; i < x.numOutputs(); ++i)
      outputs.push_back(x.outputValue(i));
    auto place = [&] {
      Index index;
      index.at.assign(batchAt.begin(), batchAt.end());
      llvm::append_range(index.at, x.unflatten("row", rows));
      index.at.push_back(column);
      index.lane = static_cast<int>(y.size()) - 1;
      return index;
    };
    if (rows.size() == 1) {
      Index any; // what is the same in all rows
      any.at.assign(batchAt.begin(), batchAt.end());
      any.at.append({"row", column});
      any.lane = static_cast<int>(batch.size());
      for (Value output : outputs)
        x.hoistUniform(output, any);
    }
    x.braces(fmt::format("for (int first = static_cast<int>(threadIdx.x) / {}; first < rows; first "
                         "+= {} * step)",
                         width, atOnce),
             [&] {
               for (auto [i, output] : llvm::enumerate(outputs))
                 x.line(fmt::format("{} {}_at[{}];", computeType(lm::elementOf(output)),
                                    x.output(i), atOnce));
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

  void eachRow(int atOnce, llvm::function_ref<void()> inside) {
    x.line("#pragma unroll");
    x.braces(fmt::format("for (int u = 0; u < {}; ++u)", atOnce), inside);
  }

  std::string number() { return computeType(lm::elementOf(op.getY())); }

  /// As device/product.cuh lays it out; kernels assert it.
  unsigned sharedBytes() const {
    Type element = a.traced.element;
    int64_t bytes = element.getIntOrFloatBitWidth() / 8, numberBytes = element.isF64() ? 8 : 4;
    int64_t padding = 16 / bytes, most = 0;
    if (blocking.warpgroups) {
      most = kStages * ((blocking.rows + blocking.columns) * blocking.depth * bytes + 16);
    } else if (blocking.rows) {
      int64_t staged = 0;
      for (auto [side, across] : {std::pair(&a, blocking.rows), std::pair(&b, blocking.columns)})
        staged += side->alongDepth && element.isBF16() ? across * (blocking.depth + padding)
                                                       : blocking.depth * (across + padding);
      most = std::max(kStages * staged * bytes, blocking.rows * blocking.pitch() * numberBytes);
    }
    if (blocking.fewRows) {
      int64_t columns = blocking.fewColumns, lanes = columns / b.chunk;
      int64_t parts = b.alongDepth ? 0 : blocking.threads / std::max<int64_t>(32, lanes);
      most = std::max(most, blocking.fewRows * (blocking.pitch() + parts * columns) * numberBytes);
    }
    return static_cast<unsigned>(most);
  }

  std::string mapping() const {
    std::string tiles = fmt::format("{} x {} elements a block, {}", blocking.rows, blocking.columns,
                                    blocking.warpgroups ? "warpgroups and a warp that copies"
                                    : a.traced.element.isBF16() ? "tensor cores"
                                                                : "fused multiply-adds");
    std::string few = fmt::format("{} columns a block", blocking.fewColumns);
    return !blocking.rows      ? few
           : !blocking.fewRows ? tiles
                               : fmt::format("{}; up to {} rows: {}", tiles, kFewRows, few);
  }

  Expression &x;
  lm::MatmulOp op;
  lm::Shape y;
  ArrayRef<lm::Dim> batch, rows; ///< of y
  Extent m, n, k;
  Side a, b;
  Blocking blocking;
  std::vector<GridFactor> grid;
  SmallVector<std::string, 4> batchAt;
  std::string row0, column0, rowsText, columnsText, width;
};

} // namespace

Launch emitProduct(Expression &x) { return ProductEmitter(x).emit(); }

} // namespace lmc::cuda
