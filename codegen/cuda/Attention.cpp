// The attention family: lm.attention, lm.attention_parts, lm.attention_dq and lm.attention_dkdv as
// calls of the device library, with operands' strides as literals.
//
// Mapping: a block has an outer tile of one batch entry and one head: of queries, or for dk and dv
// of keys of a key head, whose query heads it meets one after the other; of lm.attention_parts one
// part of the keys, too. Scratch: the tiles, in shared memory. Limits: tensor cores; for decode memory bandwidth.
#include "codegen/cuda/AttentionEmitter.h"
#include "codegen/cuda/ScalarPrinter.h"
#include "runtime/Error.h"

#include <cmath>

using namespace mlir;

namespace lmc::cuda {

constexpr double kLog2E = 1.4426950408889634;

AttentionEmitter::AttentionEmitter(Expression &x, Operation *op, Value q, Value k,
                                   const lm::AttentionScores &scores, Value past, Value pages)
    : x(x), op(op), q(lm::shapeOf(q)), k(lm::shapeOf(k)), element(lm::elementOf(q)),
      keyDims(lm::cachedTokens(k, pages)), scores(scores.over(x.product(keyDims).max)), past(past),
      pages(pages), heads(this->q[2].size), keyHeads(this->k[2].size) {
  if (!this->q[3].isStatic() || this->q[3].size > kLargestHeadDim)
    fail("no kernel for '{}' on CUDA: attention takes head_dim up to {}, got {}",
         lm::modelPath(op->getLoc()), kLargestHeadDim, this->q[3].size);
}

Launch AttentionEmitter::forward(lm::AttentionOp op) {
  StringRef whyNot = whyNotWarpgroups({op.getQ(), op.getK(), op.getV()});
  if (whyNot.empty())
    return forwardOfWarpgroups(op);
  int64_t group = heads / keyHeads, rows = group * x.product(q[1]).max;
  bool decode = past && rows <= kLargestDecodeTile;
  packed = decode ? group : 1;
  begin(kAttentionForward, decode ? rows : 0);
  declare("q", input(op.getQ()), queryHead, packed);
  declareKeys(op.getK(), op.getV(), /*aligned=*/!scores.window);
  declare("out", output(0), queryHead, packed);
  declare("lse", output(1), queryHead, packed);
  call({"q", "k", "v", "out", "lse"}, {x.mul(x.text(x.product(q[1])), std::to_string(packed))},
       fmt::format(", {}", packed));
  return launch(asOnSm80(decode ? "a block has a key head, its warps share the keys"
                                : "a block has a tile of queries",
                         whyNot));
}

// Decode's tile, once for each part of the keys.
Launch AttentionEmitter::parts(lm::AttentionPartsOp op) {
  numParts = static_cast<int64_t>(op.getParts());
  auto chunk = static_cast<int64_t>(op.getChunk());
  packed = heads / keyHeads;
  begin(kAttentionForward, std::min(packed * x.product(q[1]).max, kLargestDecodeTile), chunk);
  schedule = &kAttentionParts;
  declare("q", input(op.getQ()), queryHead, packed);
  declareKeys(op.getK(), op.getV(), /*aligned=*/true); // tiles divide chunks
  declare("out", ofPart(output(0)), queryHead, packed);
  declare("lse", ofPart(output(1)), queryHead, packed);
  call({"q", "k", "v", "out", "lse"},
       {x.mul(x.text(x.product(q[1])), std::to_string(packed)), part},
       fmt::format(", {}, {}, {}", packed, numParts, chunk));
  return launch(fmt::format("a block has a key head and one of {} parts of its keys", numParts));
}

Launch AttentionEmitter::dq(lm::AttentionDqOp op) {
  StringRef whyNot = whyNotAdjointOfWarpgroups({op.getQ(), op.getK(), op.getV(), op.getDout()});
  if (whyNot.empty())
    return dqOfWarpgroups(op);
  begin(kAttentionDq, 0);
  declareInputs(op.getQ(), op.getK(), op.getV(), op.getLse(), op.getDelta(), op.getDout());
  declare("dq", output(0), queryHead);
  call({"q", "dout", "k", "v", "lse", "delta", "dq"}, {x.text(x.product(q[1]))}, "");
  return launch(asOnSm80("a block has a tile of queries", whyNot));
}

Launch AttentionEmitter::dkdv(lm::AttentionDkDvOp op) {
  StringRef whyNot = whyNotAdjointOfWarpgroups({op.getQ(), op.getK(), op.getV(), op.getDout()});
  if (whyNot.empty())
    return dkdvOfWarpgroups(op);
  begin(kAttentionDkDv, 0);
  declareInputs(op.getQ(), op.getK(), op.getV(), op.getLse(), op.getDelta(), op.getDout());
  declare("dk", output(0), keyHead);
  declare("dv", output(1), keyHead);
  call({"k", "v", "q", "dout", "lse", "delta", "dk", "dv"},
       {x.text(x.product(q[1])), std::to_string(heads / keyHeads)}, "");
  return launch(asOnSm80("a block has a tile of keys", whyNot));
}

std::string AttentionEmitter::asOnSm80(StringRef mapping, StringRef whyNot) const {
  return x.hasWarpgroups ? fmt::format("{}; as on sm_80: {}", mapping.str(), whyNot.str())
                         : mapping.str();
}

void AttentionEmitter::begin(const AttentionSchedule &which, int64_t decodeRows, int64_t chunk) {
  schedule = &which;
  int headDim = static_cast<int>(q[3].size);
  tile = attentionTile(which, element, headDim, decodeRows, chunk);
  sharedBytes = tile.sharedBytes(which, element, headDim);
  x.line(fmt::format("using Tile = lmc::AttentionTile<{}, {}, {}, {}, {}, {}, {}, {}>;",
                     storageType(element), headDim, tile.outer, tile.inner, tile.rowWarps,
                     tile.keyWarps, tile.columnWarps, tile.stages));
  x.line(fmt::format("static_assert(lmc::AttentionShared<Tile, lmc::{}>::kBytes == {}, \"\");",
                     which.function.drop_front(StringRef("attention").size()).str(), sharedBytes));
  enterBlock(which.outerIsQueries, tile.outer);
}

void AttentionEmitter::enterBlock(bool outerIsQueries, int outer) {
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
    before = x.name("index_t", fmt::format("lmc::maximum(static_cast<index_t>({}[{}]), index_t(0))",
                                           view.buffer, at));
    keys = x.name("index_t", fmt::format("lmc::minimum(index_t({}), {} + {})", keys, before,
                                         x.text(x.product(q[1]))));
  }
  std::string window = scores.window ? fmt::format(", {}", scores.window) : "";
  x.line(fmt::format("const lmc::Visible<{}, index_t{}> mask = {{{}, {}}};", scores.causal, window,
                     keys, before));
  declareChain();
}

void AttentionEmitter::declareChain() {
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

void AttentionEmitter::call(ArrayRef<StringRef> operands, ArrayRef<std::string> extents,
                            const std::string &moreTemplateArguments) {
  std::string text = fmt::format("lmc::{}<Tile{}>(mask, chain, {}", schedule->function.str(),
                                 moreTemplateArguments, first);
  for (const std::string &extent : extents)
    text += fmt::format(", index_t({})", extent);
  for (StringRef operand : operands)
    text += ", " + operand.str();
  x.line(text + ");");
}

Launch AttentionEmitter::launch(const std::string &mapping) const {
  // Two blocks of 128 threads are all that shared memory holds of f32's dk and dv: without being told, the
  // compiler keeps registers for three, and spills on sm_100.
  bool spills = schedule->statisticsOfColumns && !element.isBF16();
  return {grid, tile.threads(), mapping, sharedBytes, spills ? 256 / tile.threads() : 0};
}

namespace {

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
