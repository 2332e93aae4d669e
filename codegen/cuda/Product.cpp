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
#include "codegen/cuda/ProductFrame.h"
#include "codegen/cuda/ProductShape.h"

#include "codegen/cuda/ScalarPrinter.h"
#include "runtime/Error.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>

using namespace mlir;

namespace lmc::cuda {
namespace {

/// Large tiles where they give so many blocks: the multiprocessors of an H100.
constexpr int64_t kLargeTiles = 132;
constexpr int kStages = 3;
constexpr unsigned kCopyThreads = 32; ///< beside those that warpgroups multiply with

class ProductEmitter : ProductShape, ProductFrame {
public:
  explicit ProductEmitter(Expression &x)
      : ProductShape(x), ProductFrame(x, static_cast<const ResultShape &>(*this)) {
    if (op.getPanelColumns())
      fail("'{}': weights packed as panels (panel_columns) have no CUDA kernel; leave "
           "lm-pack-weights "
           "out of the pipeline for this target",
           lm::modelPath(op.getLoc()));
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

  void declare(ProductSide &side, const char *name, const std::string &first, const char *size) {
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
  bool fitsTensorMap(ProductSide &side) {
    for (auto &[start, step] : side.traced.starts)
      if (start != 0 && !x.product(step).symbols.empty())
        return false;
    return side.storage().isBF16() && side.traced.element.isBF16() && side.chunk == 8 &&
           batch.size() <= 2;
  }

  /// The map of an operand and where this block's batch entry lies in it: depth and across, the
  /// contiguous one first, then batch dimensions, last first. A box has 64 elements of a line; lines
  /// along the depth: all of a tile's.
  std::string tensorMap(ProductSide &side, const Extent &size) {
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
};

} // namespace

Launch emitProduct(Expression &x) { return ProductEmitter(x).emit(); }

} // namespace lmc::cuda
