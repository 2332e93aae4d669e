// The attention family: lm.attention, lm.attention_parts, lm.attention_dq and lm.attention_dkdv as
// calls of the device library, with operands' strides as literals.
//
// Mapping: a block has an outer tile of one batch entry and one head: of queries, or for dk and dv
// of keys of a key head, whose query heads it meets one after the other; of lm.attention_parts one
// part of the keys, too. Scratch: the tiles, in shared memory. Limits: tensor cores; for decode memory bandwidth.
#include "codegen/cuda/Attention.h"

#include "codegen/cuda/Expression.h"
#include "codegen/cuda/ScalarPrinter.h"
#include "runtime/Error.h"

#include <cmath>
#include <numeric>

using namespace mlir;

namespace lmc::cuda {
namespace {

constexpr double kLog2E = 1.4426950408889634;

/// An operand traced through slices, transposes and conversions to the buffer where it lies.
/// Offsets and strides in elements.
struct View {
  std::string buffer;
  Type storage;
  SmallVector<Extent> offsets, strides;
  std::string start; ///< further elements to go, as text; empty: none
  lm::Shape shape;
  unsigned argument = 0; ///< of the kernel, of inputs
  bool isOutput = false;
};

class AttentionEmitter {
public:
  /// `past` and `pages` may be null.
  AttentionEmitter(Expression &x, Operation *op, Value q, Value k,
                   const lm::AttentionScores &scores, Value past = {}, Value pages = {})
      : x(x), op(op), q(lm::shapeOf(q)), k(lm::shapeOf(k)), element(lm::elementOf(q)),
        keyDims(lm::cachedTokens(k, pages)), scores(scores.over(x.product(keyDims).max)),
        past(past), pages(pages), heads(this->q[2].size), keyHeads(this->k[2].size) {
    if (!this->q[3].isStatic() || this->q[3].size > kLargestHeadDim)
      fail("no kernel for '{}' on CUDA: attention takes head_dim up to {}, got {}",
           lm::modelPath(op->getLoc()), kLargestHeadDim, this->q[3].size);
  }

  Launch forward(lm::AttentionOp op) {
    StringRef whyNot = whyNotWarpgroups({op.getQ(), op.getK(), op.getV()});
    if (whyNot.empty())
      return forwardOfWarpgroups(op);
    int64_t group = heads / keyHeads, rows = group * x.product(q[1]).max;
    bool decode = past && rows <= kLargestDecodeTile;
    packed = decode ? group : 1;
    begin(kAttentionForward, decode ? rows : 0);
    declare("q", input(op.getQ()), queryHead, packed);
    declareKeys(op, /*aligned=*/!scores.window);
    declare("out", output(0), queryHead, packed);
    declare("lse", output(1), queryHead, packed);
    call({"q", "k", "v", "out", "lse"}, {x.mul(x.text(x.product(q[1])), std::to_string(packed))},
         fmt::format(", {}", packed));
    return launch(asOnSm80(decode ? "a block has a key head, its warps share the keys"
                                  : "a block has a tile of queries",
                           whyNot));
  }

  /// Decode's tile, once for each part of the keys.
  Launch parts(lm::AttentionPartsOp op) {
    numParts = static_cast<int64_t>(op.getParts());
    auto chunk = static_cast<int64_t>(op.getChunk());
    packed = heads / keyHeads;
    begin(kAttentionForward, std::min(packed * x.product(q[1]).max, kLargestDecodeTile), chunk);
    schedule = &kAttentionParts;
    declare("q", input(op.getQ()), queryHead, packed);
    declareKeys(op, /*aligned=*/true); // tiles divide chunks
    declare("out", ofPart(output(0)), queryHead, packed);
    declare("lse", ofPart(output(1)), queryHead, packed);
    call({"q", "k", "v", "out", "lse"},
         {x.mul(x.text(x.product(q[1])), std::to_string(packed)), part},
         fmt::format(", {}, {}, {}", packed, numParts, chunk));
    return launch(fmt::format("a block has a key head and one of {} parts of its keys", numParts));
  }

  Launch dq(lm::AttentionDqOp op) {
    StringRef whyNot = whyNotAdjointOfWarpgroups(op);
    if (whyNot.empty())
      return dqOfWarpgroups(op);
    begin(kAttentionDq, 0);
    declareInputs(op);
    declare("dq", output(0), queryHead);
    call({"q", "dout", "k", "v", "lse", "delta", "dq"}, {x.text(x.product(q[1]))}, "");
    return launch(asOnSm80("a block has a tile of queries", whyNot));
  }

  Launch dkdv(lm::AttentionDkDvOp op) {
    StringRef whyNot = whyNotAdjointOfWarpgroups(op);
    if (whyNot.empty())
      return dkdvOfWarpgroups(op);
    begin(kAttentionDkDv, 0);
    declareInputs(op);
    declare("dk", output(0), keyHead);
    declare("dv", output(1), keyHead);
    call({"k", "v", "q", "dout", "lse", "delta", "dk", "dv"},
         {x.text(x.product(q[1])), std::to_string(heads / keyHeads)}, "");
    return launch(asOnSm80("a block has a tile of keys", whyNot));
  }

private:
  /// Why the tiles of sm_90a do not fit; empty: they do.
  StringRef whyNotWarpgroups(ArrayRef<Value> operands) {
    if (!x.hasWarpgroups)
      return "the target has no products of warpgroups";
    if (!element.isBF16())
      return "they multiply bf16";
    if (past)
      return "what lies behind the past is not zeros";
    if (q[3].size < kSmallestWarpgroupHeadDim)
      return "most of a tile would be zeros";
    for (Value operand : operands) {
      View view = input(operand);
      if (!view.storage.isBF16())
        return "tiles are not converted on the way";
      if (chunkOf(view) != 16)
        return "tensor maps take strides of 16 bytes";
      for (const Extent &offset : view.offsets)
        if (!offset.symbols.empty())
          return "a tensor map begins at a fixed place";
    }
    return "";
  }

  template <typename Op> StringRef whyNotAdjointOfWarpgroups(Op op) {
    if (q[3].size > kLargestWarpgroupAdjoint)
      return "sums of wide heads leave no registers for scores";
    return whyNotWarpgroups({op.getQ(), op.getK(), op.getV(), op.getDout()});
  }

  std::string asOnSm80(StringRef mapping, StringRef whyNot) const {
    return x.hasWarpgroups ? fmt::format("{}; as on sm_80: {}", mapping.str(), whyNot.str())
                           : mapping.str();
  }

  Launch dqOfWarpgroups(lm::AttentionDqOp op) {
    WarpgroupAdjointTile sizes = beginWarpgroups(kAttentionDq);
    declareStatistics(op);
    declare("dq", output(0), queryHead);
    callTiles(kAttentionDq, {x.text(x.product(q[1]))},
              maps({op.getQ(), op.getDout()}, WarpgroupTile::kOuter) +
                  maps({op.getK(), op.getV()}, sizes.inner),
              "dq");
    return {grid, WarpgroupTile::kThreads,
            "a block has a tile of queries, two warpgroups multiply, a third copies",
            sizes.sharedBytes, 1};
  }

  Launch dkdvOfWarpgroups(lm::AttentionDkDvOp op) {
    WarpgroupAdjointTile sizes = beginWarpgroups(kAttentionDkDv);
    declareStatistics(op);
    declare("dk", output(0), keyHead);
    declare("dv", output(1), keyHead);
    callTiles(kAttentionDkDv, {x.text(x.product(q[1])), std::to_string(heads / keyHeads)},
              maps({op.getK(), op.getV()}, WarpgroupTile::kOuter) +
                  maps({op.getQ(), op.getDout()}, sizes.inner),
              "dk, dv");
    return {grid, WarpgroupTile::kThreads,
            "a block has a tile of keys, two warpgroups multiply, a third copies",
            sizes.sharedBytes, 1};
  }

  /// One block a multiprocessor is said aloud (1 in their launches): else the compiler may begin with a number of
  /// registers that the warpgroups cannot exchange.
  WarpgroupAdjointTile beginWarpgroups(const AttentionSchedule &which) {
    int headDim = static_cast<int>(q[3].size);
    WarpgroupAdjointTile sizes(which, headDim);
    x.line(fmt::format("using Tile = lmc::WarpgroupTile<{}, {}, {}>;", headDim, sizes.inner,
                       sizes.stages));
    x.line(fmt::format("static_assert(lmc::AdjointShared<Tile, {}>::kBytes == {} && "
                       "Tile::kThreads == {}, \"\");",
                       which.statisticsOfColumns, sizes.sharedBytes, WarpgroupTile::kThreads));
    enterBlock(which.outerIsQueries, WarpgroupTile::kOuter);
    return sizes;
  }

  std::string maps(ArrayRef<Value> operands, int lines) {
    std::string names;
    for (Value operand : operands)
      names += x.tensorMap(mapOf(operand, lines)) + ", ";
    return names;
  }

  void callTiles(const AttentionSchedule &which, ArrayRef<std::string> extents,
                 const std::string &maps, StringRef results) {
    std::string text =
        fmt::format("lmc::{}Tiles<Tile>(mask, chain, {}", which.function.str(), first);
    for (const std::string &extent : extents)
      text += fmt::format(", index_t({})", extent);
    x.line(fmt::format("{}, {}int({}), int({}), int({}), lse, delta, {});", text, maps, queryHead,
                       keyHead, batch, results.str()));
  }

  Launch forwardOfWarpgroups(lm::AttentionOp op) {
    int headDim = static_cast<int>(q[3].size);
    WarpgroupTile sizes(headDim);
    x.line(fmt::format("using Tile = lmc::WarpgroupTile<{}, {}, {}>;", headDim, sizes.inner,
                       sizes.stages));
    x.line(fmt::format("static_assert(Tile::kBytes == {} && Tile::kThreads == {}, \"\");",
                       sizes.sharedBytes, WarpgroupTile::kThreads));
    enterBlock(/*outerIsQueries=*/true, WarpgroupTile::kOuter);
    declare("out", output(0), queryHead);
    declare("lse", output(1), queryHead);
    std::string copied =
        maps(op.getQ(), WarpgroupTile::kOuter) + maps({op.getK(), op.getV()}, sizes.inner);
    x.line(fmt::format("lmc::attentionForwardTiles<Tile>(mask, chain, {}, index_t({}), {}int({}), "
                       "int({}), int({}), out, lse);",
                       first, x.text(x.product(q[1])), copied, queryHead, keyHead, batch));
    return {grid, WarpgroupTile::kThreads,
            "a block has a tile of queries, two warpgroups multiply, a third copies",
            sizes.sharedBytes};
  }

  /// Dimensions head_dim, heads, tokens, batch; a box has 64 elements of `lines` tokens of one head.
  TensorMap mapOf(Value operand, int lines) {
    View view = input(operand);
    TensorMap map;
    map.buffer = view.argument;
    for (const Extent &offset : view.offsets)
      map.offset += 2 * offset.factor;
    for (int i : {3, 2, 1, 0}) {
      map.sizes.push_back(gridOf(x.product(view.shape[i])));
      if (i == 3)
        continue;
      Extent stride = view.strides[i];
      stride.factor *= 2;
      if (map.sizes.back().size() == 1 && x.product(view.shape[i]).is(1))
        stride = {16, 16, {}}; // nobody goes there
      map.strides.push_back(gridOf(stride));
    }
    map.box = {64, 1, static_cast<unsigned>(lines), 1};
    return map;
  }

  View input(Value value) {
    if (auto argument = dyn_cast<BlockArgument>(value))
      return viewOf(x.input(argument.getArgNumber()), value, false, argument.getArgNumber());
    Operation *op = value.getDefiningOp();
    View view = input(op->getOperand(0));
    view.shape = lm::shapeOf(value);
    if (isa<lm::ConvertOp>(op))
      return view; // elements are converted as they are copied
    if (auto slice = dyn_cast<lm::SliceOp>(op)) {
      Extent offset = view.strides[slice.getDim()];
      offset.factor *= slice.getStart();
      if (slice.getStart() != 0)
        view.offsets.push_back(offset);
      return view;
    }
    SmallVector<Extent> strides;
    for (int64_t dim : cast<lm::TransposeOp>(op).getPermutation())
      strides.push_back(view.strides[dim]);
    view.strides = strides;
    return view;
  }

  /// Of a result [B, T, H, parts, ...], this block's part.
  View ofPart(View view) const {
    constexpr int dim = 3;
    view.start = x.mul(part, x.text(view.strides[dim]));
    view.strides.erase(view.strides.begin() + dim);
    view.shape.erase(view.shape.begin() + dim);
    return view;
  }

  View output(unsigned number) { return viewOf(x.output(number), op->getResult(number), true); }

  View viewOf(std::string buffer, Value value, bool isOutput, unsigned argument = 0) {
    View view;
    view.argument = argument;
    view.buffer = std::move(buffer);
    view.storage = lm::elementOf(value);
    view.shape = lm::shapeOf(value);
    view.isOutput = isOutput;
    for (size_t i = 0; i < view.shape.size(); ++i)
      view.strides.push_back(x.product(ArrayRef<lm::Dim>(view.shape).drop_front(i + 1)));
    return view;
  }

  /// Bytes that are aligned and contiguous wherever a row of the view is cut into such pieces.
  int chunkOf(const View &view) const {
    if (view.shape.size() < 4 || !view.strides[3].is(1))
      return 0;
    int64_t common = view.shape[3].size;
    for (const Extent &offset : view.offsets)
      common = std::gcd(common, offset.factor);
    for (int i = 0; i < 3; ++i)
      if (!x.product(view.shape[i]).is(1))
        common = std::gcd(common, view.strides[i].factor);
    int64_t bytes = common * view.storage.getIntOrFloatBitWidth() / 8;
    for (int chunk : {16, 8, 4})
      if (bytes % chunk == 0)
        return chunk;
    return 0;
  }

  void begin(const AttentionSchedule &which, int64_t decodeRows, int64_t chunk = 0) {
    schedule = &which;
    int headDim = static_cast<int>(q[3].size);
    tile = attentionTile(which, element, headDim, decodeRows, chunk);
    sharedBytes = tile.sharedBytes(which, element, headDim);
    x.line(fmt::format("using Tile = lmc::AttentionTile<{}, {}, {}, {}, {}, {}, {}, {}>;",
                       storageType(element), headDim, tile.outer, tile.inner, tile.rowWarps,
                       tile.keyWarps, tile.columnWarps, tile.stages));
    x.line(fmt::format("static_assert(lmc::AttentionShared<Tile, lmc::{}>::kBytes == {}, \"\");",
                       which.function.drop_front(StringRef("attention").size()).str(),
                       sharedBytes));
    enterBlock(which.outerIsQueries, tile.outer);
  }

  /// Which tile of which head this block has, what its queries see, and what becomes of scores.
  void enterBlock(bool outerIsQueries, int outer) {
    Extent rows = x.product(outerIsQueries ? q[1] : k[1]);
    rows.factor *= packed;
    bool isQueryHead = outerIsQueries && packed == 1;
    int64_t headsOfGrid = isQueryHead ? heads : keyHeads;
    Extent pairs = x.product(q[0]);
    pairs.factor *= headsOfGrid;
    grid = gridOf(rows, outer);
    for (const GridFactor &factor : gridOf(pairs))
      grid.push_back(factor);
    std::string block = x.name("index_t", "static_cast<index_t>(blockIdx.x)");
    if (numParts > 1) { // the parts of one head follow one another
      grid.push_back({"", numParts, 1});
      part = x.rem(block, std::to_string(numParts));
      block = x.div(block, std::to_string(numParts));
    }
    auto numTiles = [&] {
      return x.div(x.add(x.text(rows), std::to_string(outer - 1)), std::to_string(outer));
    };
    std::string pair, number;
    if (scores.causal) { // long tiles first: late queries, early keys
      std::string pairsText = x.text(pairs);
      pair = x.rem(block, pairsText);
      number = x.div(block, pairsText);
      if (outerIsQueries)
        number = x.name("index_t", fmt::format("{} - 1 - {}", numTiles(), number));
    } else { // tiles that read the same operands follow one another
      std::string tiles = numTiles();
      pair = x.div(block, tiles);
      number = x.rem(block, tiles);
    }
    first = x.mul(number, std::to_string(outer));
    batch = x.div(pair, std::to_string(headsOfGrid));
    std::string head = x.rem(pair, std::to_string(headsOfGrid));
    std::string group = std::to_string(heads / keyHeads);
    queryHead = isQueryHead ? head : x.mul(head, group);
    keyHead = isQueryHead ? x.div(head, group) : head;

    std::string keys = x.text(x.product(keyDims)), before = "0";
    if (past) {
      View view = input(past);
      std::string at = view.strides.empty() ? "0" : x.mul(batch, x.text(view.strides[0]));
      for (const Extent &offset : view.offsets)
        at = x.add(at, x.text(offset));
      before =
          x.name("index_t", fmt::format("lmc::maximum(static_cast<index_t>({}[{}]), index_t(0))",
                                        view.buffer, at));
      keys = x.name("index_t", fmt::format("lmc::minimum(index_t({}), {} + {})", keys, before,
                                           x.text(x.product(q[1]))));
    }
    std::string window = scores.window ? fmt::format(", {}", scores.window) : "";
    x.line(fmt::format("const lmc::Visible<{}, index_t{}> mask = {{{}, {}}};", scores.causal,
                       window, keys, before));
    declareChain();
  }

  void declareChain() {
    std::string type = storageType(element);
    auto number = [&](double value) { return literal(element, value); };
    if (double cap = scores.softCap)
      x.line(fmt::format("const lmc::SoftCapped<{}> chain = {{{}, {}, {}, {}}};", type,
                         number(scores.scale), number(cap * kLog2E), number(cap),
                         number(scores.scale / cap)));
    else // masked scores are -infinity times the second one: never infinity times zero
      x.line(fmt::format("const lmc::Scaled<{}> chain = {{{}, {}}};", type, number(scores.scale),
                         number(std::max(std::fabs(scores.scale) * kLog2E, 1e-30))));
  }

  template <typename Op> void declareInputs(Op op) {
    declare("q", input(op.getQ()), queryHead);
    declare("k", input(op.getK()), keyHead);
    declare("v", input(op.getV()), keyHead);
    declareStatistics(op);
    declare("dout", input(op.getDout()), queryHead);
  }

  template <typename Op> void declareStatistics(Op op) {
    declare("lse", input(op.getLse()), queryHead);
    declare("delta", input(op.getDelta()), queryHead);
  }

  /// Keys and values of a key head. `aligned`: tiles begin at multiples of their rows.
  template <typename Op> void declareKeys(Op op, bool aligned) {
    if (!pages) {
      declare("k", input(op.getK()), keyHead);
      declare("v", input(op.getV()), keyHead);
      return;
    }
    View table = input(pages);
    std::string entries = table.buffer;
    for (const Extent &offset : table.offsets)
      entries += " + " + x.text(offset);
    entries += " + " + x.mul(batch, x.text(table.strides[0]));
    for (auto [name, value] : {std::pair(StringRef("k"), Value(op.getK())), {"v", op.getV()}}) {
      View view = input(value);
      std::string at = view.buffer;
      for (const Extent &offset : view.offsets)
        at += " + " + x.text(offset);
      at += " + " + x.mul(keyHead, x.text(view.strides[2]));
      x.line(fmt::format(
          "const lmc::PagedRows<const {}, {}, {}, {}, index_t> {} = {{{}, {}, {}, {}, "
          "{}, {}, {}}};",
          storageType(view.storage), chunkOf(view), view.shape[1].size, aligned, name.str(), at,
          x.text(view.strides[1]), x.text(view.strides[3]), x.text(view.strides[0]), entries,
          x.text(table.strides[1]), x.text(x.product(view.shape[0]))));
    }
  }

  /// lmc::Rows of one batch entry and one head.
  void declare(StringRef name, const View &view, const std::string &head, int64_t packedHeads = 1) {
    std::string at = view.buffer;
    auto step = [&](const std::string &elements) {
      if (elements != "0")
        at += " + " + elements;
    };
    for (const Extent &offset : view.offsets)
      step(x.text(offset));
    if (!view.start.empty())
      step(view.start);
    step(x.mul(batch, x.text(view.strides[0])));
    step(x.mul(head, x.text(view.strides[2])));
    std::string token = x.text(view.strides[1]), next = x.text(view.strides[2]);
    std::string depth = view.strides.size() > 3 ? x.text(view.strides[3]) : "1";
    x.line(fmt::format("const lmc::Rows<{}{}, {}, {}, index_t> {} = {{{}, {}, {}, {}}};",
                       view.isOutput ? "" : "const ", storageType(view.storage), packedHeads,
                       chunkOf(view), name.str(), at, token, next, depth));
  }

  void call(ArrayRef<StringRef> operands, ArrayRef<std::string> extents,
            const std::string &moreTemplateArguments) {
    std::string text = fmt::format("lmc::{}<Tile{}>(mask, chain, {}", schedule->function.str(),
                                   moreTemplateArguments, first);
    for (const std::string &extent : extents)
      text += fmt::format(", index_t({})", extent);
    for (StringRef operand : operands)
      text += ", " + operand.str();
    x.line(text + ");");
  }

  Launch launch(const std::string &mapping) const {
    // Two blocks of 128 threads are all that shared memory holds of f32's dk and dv: without being told, the
    // compiler keeps registers for three, and spills on sm_100.
    bool spills = schedule->statisticsOfColumns && !element.isBF16();
    return {grid, tile.threads(), mapping, sharedBytes, spills ? 256 / tile.threads() : 0};
  }

  Expression &x;
  Operation *op;
  lm::Shape q, k;
  Type element;
  lm::Shape keyDims; ///< whose product is S
  lm::AttentionScores scores;
  Value past, pages;                   ///< null where there are none
  int64_t heads, keyHeads, packed = 1; ///< packed: query heads in the rows of a tile
  int64_t numParts = 1;                ///< of the keys

  const AttentionSchedule *schedule = nullptr;
  AttentionTile tile;
  unsigned sharedBytes = 0;
  std::vector<GridFactor> grid;
  std::string first, batch, queryHead, keyHead, part = "0";
};

template <typename Op> AttentionEmitter emitterOf(Expression &x, Op op) {
  return {x, op, op.getQ(), op.getK(), lm::AttentionScores::of(op)};
}
template <typename Op> AttentionEmitter emitterOverCache(Expression &x, Op op) {
  return {x, op, op.getQ(), op.getK(), lm::AttentionScores::of(op), op.getPast(), op.getPages()};
}

} // namespace

Launch emitAttention(Expression &x) {
  for (Operation &inner : x.body) {
    if (auto op = dyn_cast<lm::AttentionOp>(inner))
      return emitterOverCache(x, op).forward(op);
    if (auto op = dyn_cast<lm::AttentionPartsOp>(inner))
      return emitterOverCache(x, op).parts(op);
    if (auto op = dyn_cast<lm::AttentionDqOp>(inner))
      return emitterOf(x, op).dq(op);
    if (auto op = dyn_cast<lm::AttentionDkDvOp>(inner))
      return emitterOf(x, op).dkdv(op);
  }
  llvm_unreachable("an attention kernel holds an attention");
}

} // namespace lmc::cuda
