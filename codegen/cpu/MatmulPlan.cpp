// Chooses path, register tile, cache blocks and work items of a matrix product.
#include "codegen/cpu/Matmul.h"

#include "ir/Panels.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace lmc::cpu {
namespace {

int64_t roundUp(int64_t x, int64_t to) { return (x + to - 1) / to * to; }
int64_t divideUp(int64_t x, int64_t by) { return (x + by - 1) / by; }

/// Vectors in a row of the register tile: two loads of B for each element of A.
unsigned vectorsOfTile(const Target &target) {
  return target.lanes() == 4 && target.vectorRegisters == 32 ? 3 : 2;
}

/// Columns of one register tile, then the rows that fill the remaining registers with sums.
void chooseRegisterTile(MatmulPlan &plan, const MatmulDescription &d, const Target &target) {
  // Not wider than the matrix: idle lanes cost as much as busy ones.
  unsigned bits = Emit::computeType(d.a.storage).getIntOrFloatBitWidth();
  unsigned full = target.lanes(bits), least = std::min(full, 128 / bits);
  plan.lanes = full;
  while (plan.lanes > least && d.n.max <= plan.lanes / 2)
    plan.lanes /= 2;
  plan.nv = std::min<int64_t>(vectorsOfTile(target), divideUp(d.n.max, plan.lanes));
  if (int64_t width = d.b.panelWidth) {
    for (plan.lanes = full; width % plan.lanes != 0;)
      plan.lanes /= 2;
    plan.nv = width / plan.lanes;
  }

  // A quarter of the registers is for a row of B, elements of A and loads ahead: with less, LLVM's
  // scheduler spills sums.
  unsigned most = std::clamp(target.vectorRegisters * 3 / 4 / plan.nv, 1u, 16u);
  plan.mr = most;
  double best = 0;
  for (unsigned mr = most; mr >= 1 && mr * 2 >= most; --mr) {
    // Two multiply-adds a cycle; a row of B from L2 costs about 1.5 cycles (measured).
    double cost = double(divideUp(d.m.max, mr)) * (mr * plan.nv / 2.0 + 1.5);
    if (mr == most || (d.hasFixedRows() && cost < best)) {
      best = cost;
      plan.mr = mr;
    }
  }
}

// Order of tiles and what is packed at a time (MatmulPacked.cpp says why).
void choosePacking(MatmulPlan &plan, const MatmulDescription &d) {
  bool ahead = d.b.panelWidth > 0;
  plan.panelByPanel = ahead || (d.b.rowStride.is(1) && !d.b.columnStride.is(1));
  if (ahead || (d.a.rowStride.is(1) && !d.a.columnStride.is(1)))
    plan.packA = PackA::Block;
}

// A panel of A (mr x kc) stays in L1 while panels of B (kc x nr) pass through from a block of B (kc x
// nc) in L2; panel by panel it is the other way round, with a block of A (mc x kc).
void chooseCacheBlocks(MatmulPlan &plan, const MatmulDescription &d, const Target &target,
                       int64_t bytes) {
  int64_t nr = plan.nr(), mr = plan.mr, k = d.k.max;
  auto equalBlocks = [](int64_t size, int64_t block, int64_t unit) {
    return roundUp(divideUp(size, divideUp(size, block)), unit);
  };
  bool ahead = d.b.panelWidth > 0;
  // Measured with 32 KiB: 192 for a 12 x 32 tile, 256 for 6 x 16; longer blocks lose L1, shorter
  // ones move partial sums more often. Panels packed ahead come from memory.
  int64_t kc = std::clamp<int64_t>(target.l1Bytes / (((ahead ? 2 : 1) * mr + nr) * bytes), 64, 256);
  plan.kc = equalBlocks(k, kc + kc / 8, target.lanes(8 * bytes));
  int64_t inL2 = target.l2Bytes * 5 / 8 / (plan.kc * bytes);
  int64_t nc = plan.panelByPanel && !ahead ? 1024 : std::clamp<int64_t>(inL2, nr, 1024);
  plan.nc = equalBlocks(d.n.max, nc / nr * nr, nr);
  // More rows pack B less often, but partial sums of mc x nc wait in scratch.
  plan.mc = equalBlocks(d.m.max, 528 / mr * mr, mr);
  if (ahead && plan.mc * roundUp(k, plan.kUnroll) * bytes <= (4 << 20))
    plan.packA = PackA::Whole;
}

void chooseItems(MatmulPlan &plan, const MatmulDescription &d) {
  int64_t batch = 1;
  for (const Extent &extent : d.batch)
    batch *= std::max<int64_t>(1, extent.max);
  // A run with few rows can only be split along n.
  plan.outerIsN = plan.smallRows > 0 || d.n.max >= d.m.max;
  int64_t outerUnit = plan.outerIsN ? plan.nr() : plan.mr;
  int64_t innerUnit = plan.outerIsN ? plan.mr : plan.nr();
  int64_t outer = divideUp(plan.outerIsN ? d.n.max : d.m.max, outerUnit);
  int64_t inner = divideUp(plan.outerIsN ? d.m.max : d.n.max, innerUnit);
  // Each worker packs what its own rectangle needs, least for a square. With 16 workers a square
  // has this side; items are finer, about 64, because neighbouring ones are computed as one
  // rectangle.
  double side = std::sqrt(double(d.m.max) * double(d.n.max) * double(batch) / 16);
  int64_t outerStep = std::max<int64_t>(1, outer * std::min<int64_t>(batch, 64) / 64);
  if (plan.smallRows == 0 && double(inner * innerUnit) > 1.5 * side) {
    // Strips about as wide as the square; a power of two, so that few workers get whole strips.
    double strips = std::exp2(std::round(std::log2(double(outer * outerUnit) / side)));
    outerStep = std::max(outerStep, divideUp(outer, static_cast<int64_t>(std::max(1.0, strips))));
  }
  // Few entries may have rows, and how many is not known here: each is cut into strips of all its rows.
  bool ragged = d.ragged == MatmulDescription::Ragged::Rows;
  if (ragged)
    outerStep = std::max<int64_t>(1, std::min(outerStep, outer / 8));
  int64_t outerTiles = divideUp(outer, outerStep), wanted = outerStep > 1 ? 64 : 24;
  int64_t innerTiles = ragged || outerTiles * batch >= 24
                           ? 1
                           : std::min(inner, divideUp(wanted, outerTiles * batch));
  int64_t innerStep = divideUp(inner, innerTiles);
  plan.tileN = plan.outerIsN ? outerStep * outerUnit : innerStep * innerUnit;
  plan.tileM = plan.outerIsN ? innerStep * innerUnit : outerStep * outerUnit;
  // An inner extent that is one tile is not a factor, so few rows need no special case.
  if (innerTiles == 1)
    (plan.outerIsN ? plan.tileM : plan.tileN) = 0;
  if (plan.smallRows > 0 && plan.tileM > 0)
    plan.tileM = std::max(plan.tileM, roundUp(plan.smallRows, plan.mr));

  auto factor = [&](const Extent &extent, int64_t div) {
    assert((div == 1 || extent.dims.size() <= 1) && "m and n have at most one symbolic dimension");
    if (extent.isFixed()) {
      plan.items.push_back({-1, divideUp(extent.factor, div), 1});
      return;
    }
    for (unsigned i = 0; i < extent.dims.size(); ++i)
      plan.items.push_back({static_cast<int>(extent.dims[i]), i == 0 ? extent.factor : 1, div});
  };
  for (const Extent &extent : d.batch)
    factor(extent, 1);
  if (plan.tileN > 0)
    factor(d.n, plan.tileN);
  if (plan.tileM > 0)
    factor(d.m, plan.tileM);
}

} // namespace

mlir::Value Extent::emit(Emit &e) const {
  mlir::Value value = e.i64(factor);
  for (unsigned dim : dims)
    value = e.mul(e.dim(dim), value);
  return value;
}

int64_t panelWidth(const Target &target) { return target.lanes() * vectorsOfTile(target); }

MatmulPlan planMatmul(const MatmulDescription &d, const Target &target) {
  MatmulPlan plan;
  int64_t bytes = Emit::storageBytes(Emit::computeType(d.a.storage));
  bool readInPlace = d.b.columnStride.is(1) || d.b.rowStride.is(1);
  int64_t least = d.hasFixedRows() ? d.m.factor : 1;
  // Measured: with more rows packing pays, and the copy of A leaves L1.
  int64_t few = target.vectorRegisters >= 32 ? 12 : 8;
  plan.kUnroll =
      std::min(4u, target.lanes(bytes * 8)); // a vector along k is a whole number of steps
  chooseRegisterTile(plan, d, target);
  if (d.b.panelWidth > 0) {
    assert(d.n.isFixed() && d.k.isFixed() && lm::kPanelSteps % plan.kUnroll == 0);
    readInPlace = true;
    few = std::clamp<int64_t>(target.vectorRegisters * 3 / 4 / plan.nv, 1, 16); // one tile
  }
  plan.smallRows = readInPlace && least <= few ? std::min(few, d.m.max) : 0;
  plan.packed = d.m.max > plan.smallRows;
  choosePacking(plan, d);
  chooseCacheBlocks(plan, d, target, bytes);
  chooseItems(plan, d);

  // Packed panels are written in whole vectors, hence the rounding and the vector of slack.
  int64_t lanes = target.lanes(bytes * 8), a = 0, b = 0, sums = 0;
  if (plan.packed) {
    plan.bDepth = roundUp(plan.kc, lanes);
    plan.aDepth = roundUp((plan.packA == PackA::Whole ? d.k.max : plan.kc) + 1, lanes);
    bool onePanel = plan.packA == PackA::Panel && !plan.panelByPanel;
    a = (onePanel ? plan.mr : plan.mc) * plan.aDepth + lanes;
    b = d.b.panelWidth > 0 ? 0 : (plan.panelByPanel ? plan.nr() : plan.nc) * plan.bDepth + lanes;
    sums = d.k.max > plan.kc ? plan.mc * plan.nc : plan.mr * plan.nr();
  }
  if (plan.smallRows > 0 && d.b.panelWidth > 0) {
    a = std::max(a, plan.smallRows * roundUp(d.k.max, lanes) + lanes);
    sums = std::max(sums, plan.smallRows * plan.nr());
  } else if (plan.smallRows > 0) {
    plan.sliceN = d.b.columnStride.is(1) ? 512 : 128;
    plan.sliceN = std::min(plan.sliceN, roundUp(d.n.max, lanes));
    int64_t rows = plan.smallRows;
    a = std::max(a, rows * roundUp(d.k.max, lanes));
    sums = std::max(sums, rows * plan.sliceN);
  }
  for (int64_t elements : {a, b, sums}) {
    plan.scratchOffsets.push_back(plan.scratchBytes);
    plan.scratchBytes += roundUp(elements * bytes, 64);
  }
  return plan;
}

} // namespace lmc::cpu
