// Block-quantised weights on each kind of byte arithmetic, at odd sizes: rows, products and gathered rows
// against the reference evaluator, whose panels are read one element at a time.
#include "test/unit/codegen/KernelCheck.h"

#include "codegen/cpu/Target.h"
#include "ir/BlockPanels.h"
#include "ir/Dialect.h"
#include "runtime/Half.h"
#include "runtime/Philox.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace mlir;

namespace lmc::test {
namespace {

/// Random blocks in panels.
std::vector<std::byte> drawPanels(const lm::BlockPanels &panels, uint64_t seed) {
  std::vector<std::byte> bytes(static_cast<size_t>(panels.size()));
  const lm::BlockFormat &format = *panels.format;
  Philox random(seed, 1);
  uint64_t next = 0;
  for (int64_t column = 0; column < panels.columns; ++column)
    for (int64_t index = 0; index < panels.depth / format.super; ++index) {
      lm::UnpackedBlock block;
      // Eighths are exact in f16; the exponent form has powers of two only.
      bool half = format.scale == lm::BlockFormat::Scale::Half;
      block.d = half ? floatToHalf((1.0f + static_cast<float>(random.below(next++, 64))) / 8) : 0;
      block.exponent = static_cast<uint8_t>(124 + random.below(next++, 9));
      block.dmin = floatToHalf(static_cast<float>(random.below(next++, 64)) / 8 - 3);
      for (int i = 0; i < 16; ++i) {
        block.scales[i] = static_cast<uint8_t>(random.below(next++, format.minimums ? 64 : 256));
        block.minimums[i] = static_cast<uint8_t>(random.below(next++, 64));
      }
      for (uint8_t &q : block.q)
        q = static_cast<uint8_t>(random.below(next++, 1u << format.bits()));
      lm::PanelWriter(panels, bytes, column / panels.width)
          .write(index, column % panels.width, {&block, 1});
    }
  return bytes;
}

struct BlockCase {
  const char *cpu;
  const lm::BlockFormat *format;
};

std::vector<BlockCase> blockCases() {
  std::vector<BlockCase> cases;
  for (const char *cpu : {"host", "x86-64-v4", "x86-64-v3", "x86-64-v2"})
    for (const lm::BlockFormat &format : lm::blockFormats())
      cases.push_back({cpu, &format});
  return cases;
}

class Blocks : public testing::TestWithParam<BlockCase>, public Context {
protected:
  void SetUp() override {
    if (!cpu::Target::named(GetParam().cpu).runsOnHost())
      GTEST_SKIP() << "this machine does not run " << GetParam().cpu;
  }

  lm::BlockPanels panels(int64_t depth, int64_t columns) const {
    return {GetParam().format, depth, columns, cpu::Target::named(GetParam().cpu).lanes(32)};
  }

  /// i8 as numbers, from the panels that `bytes` are.
  static lm::Tensor tensorOf(const lm::BlockPanels &panels, const std::vector<std::byte> &bytes) {
    lm::Tensor tensor({panels.count(), panels.panelBytes()});
    std::ranges::transform(bytes, tensor.data.begin(),
                           [](std::byte byte) { return static_cast<double>(byte); });
    return tensor;
  }
};

TEST_P(Blocks, WhatIsWrittenIsReadBack) {
  lm::BlockPanels p = panels(512, 5);
  std::vector<std::byte> bytes(static_cast<size_t>(p.size()));
  lm::UnpackedBlock block;
  bool half = p.format->scale == lm::BlockFormat::Scale::Half;
  block.d = floatToHalf(half ? 0.375f : 0);
  block.exponent = half ? 0 : 131;
  block.dmin = floatToHalf(p.format->minimums ? -0.1875f : 0);
  for (int i = 0; i < 256; ++i)
    block.q[i] = static_cast<uint8_t>(i * 37 & ((1 << p.format->bits()) - 1));
  if (p.format->hasSuperBlocks())
    for (int i = 0; i < 256 / p.format->sub; ++i)
      block.scales[i] = static_cast<uint8_t>(3 * i),
      block.minimums[i] = static_cast<uint8_t>(2 * i);
  lm::PanelWriter(p, bytes, 4 / p.width).write(1, 4 % p.width, {&block, 1});
  lm::UnpackedBlock again = lm::readBlock(p, bytes, 4, 1);
  EXPECT_EQ(again.d, block.d);
  EXPECT_EQ(again.dmin, block.dmin);
  EXPECT_EQ(again.exponent, block.exponent);
  for (int64_t i = 0; i < p.format->super; ++i)
    ASSERT_EQ(again.q[i], block.q[i]) << i;
  lm::UnpackedBlock other = lm::readBlock(p, bytes, 3, 1);
  EXPECT_EQ(other.d, 0);
  EXPECT_EQ(other.q[0], 0);
}

TEST_P(Blocks, ProductMatchesTheEvaluator) {
  lm::BlockPanels p = panels(512, 37);
  FamilyCase family;
  family.name = "blocks";
  family.arguments = {"f32[1,T,512]", "f32[37]"};
  family.ranges = {{"T", {1, 21}}};
  family.runs = {{{"T", 21}}, {{"T", 1}}, {{"T", 2}}, {{"T", 7}}};
  family.build = [&](lm::GraphBuilder &g, ArrayRef<Value> a) {
    // The weights are an argument too: FamilyCase knows no bytes.
    Block *body = cast<BlockArgument>(a.front()).getOwner();
    auto function = cast<func::FuncOp>(body->getParentOp());
    Type bytes = lm::tensorType({p.count(), p.panelBytes()}, g.b.getI8Type());
    Value weights = body->addArgument(bytes, g.loc);
    function.setType(g.b.getFunctionType(body->getArgumentTypes(), {}));
    auto rows = g.b.create<lm::QuantizeRowsOp>(g.loc, a[0]);
    Value y = g.b.create<lm::BlockMatmulOp>(
        g.loc, rows.getCodes(), rows.getScales(), rows.getSums(), rows.getHalfSums(), weights,
        g.b.getStringAttr(StringRef(p.format->name)), g.b.getI64IntegerAttr(p.columns),
        g.b.getI64IntegerAttr(p.width));
    return std::vector<Value>{g.add(y, a[1])};
  };
  auto module = buildModule(*this, family, false);
  ASSERT_TRUE(module);
  std::vector<std::vector<lm::Tensor>> arguments;
  for (const Extents &extents : family.runs) {
    arguments.push_back(drawArguments(family, extents));
    arguments.back().push_back(tensorOf(p, drawPanels(p, 3)));
  }
  checkKernels(*this, *module, family.runs, arguments, {.cpu = GetParam().cpu, .tolerance = 2e-6});
}

// Rows that slots share, then rows of their own; with few tokens some experts have none.
class ExpertBlocks : public Blocks {};

TEST_P(ExpertBlocks, ProductMatchesTheEvaluator) {
  const int64_t experts = 5;
  lm::BlockPanels p = panels(256, 37);
  FamilyCase family;
  family.name = "expert_blocks";
  family.arguments = {"f32[1,T,5]", "f32[1,T,256]", "f32[37]"};
  family.ranges = {{"T", {1, 41}}};
  family.runs = {{{"T", 41}}, {{"T", 1}}, {{"T", 6}}};
  family.build = [&](lm::GraphBuilder &g, ArrayRef<Value> a) {
    Block *body = cast<BlockArgument>(a.front()).getOwner();
    auto function = cast<func::FuncOp>(body->getParentOp());
    Type bytes = lm::tensorType({experts, p.count(), p.panelBytes()}, g.b.getI8Type());
    Value weights = body->addArgument(bytes, g.loc);
    function.setType(g.b.getFunctionType(body->getArgumentTypes(), {}));
    auto chosen = g.b.create<lm::TopKOp>(g.loc, a[0], 2);
    Value ids = g.transpose(chosen.getIds(), {2, 0, 1});
    auto groups = g.b.create<lm::GroupRowsOp>(g.loc, ids, experts);
    auto product = [&](Value x) -> Value {
      auto rows = g.b.create<lm::QuantizeRowsOp>(g.loc, x);
      return g.b.create<lm::ExpertBlockMatmulOp>(
          g.loc, rows.getCodes(), rows.getScales(), rows.getSums(), rows.getHalfSums(), weights,
          groups.getOrder(), groups.getStarts(), g.b.getStringAttr(StringRef(p.format->name)),
          g.b.getI64IntegerAttr(p.columns), g.b.getI64IntegerAttr(p.width));
    };
    lm::Shape slots = lm::shapeOf(ids);
    slots.push_back(256);
    Value own = g.broadcastTo(a[1], slots);
    own = g.mul(own, g.perRow(g.transpose(chosen.getValues(), {2, 0, 1}), own));
    return std::vector<Value>{g.add(product(a[1]), a[2]), product(own)};
  };
  auto module = buildModule(*this, family, false);
  ASSERT_TRUE(module);
  lm::Tensor weights({experts, p.count(), p.panelBytes()});
  weights.data.clear();
  for (uint64_t expert = 0; expert < experts; ++expert)
    llvm::append_range(weights.data, tensorOf(p, drawPanels(p, 3 + expert)).data);
  std::vector<std::vector<lm::Tensor>> arguments;
  for (const Extents &extents : family.runs) {
    arguments.push_back(drawArguments(family, extents));
    arguments.back().push_back(weights);
  }
  checkKernels(*this, *module, family.runs, arguments, {.cpu = GetParam().cpu, .tolerance = 2e-6});
}

std::vector<BlockCase> expertCases() {
  std::vector<BlockCase> cases;
  for (const char *cpu : {"host", "x86-64-v3"})
    for (const char *format : {"q8_0", "q4_k", "q6_k", "mxfp4"})
      cases.push_back({cpu, lm::findBlockFormat(format)});
  return cases;
}

std::string nameOfCase(const testing::TestParamInfo<BlockCase> &info) {
  return testName(std::string(info.param.cpu) + "_" + std::string(info.param.format->name));
}

INSTANTIATE_TEST_SUITE_P(, ExpertBlocks, testing::ValuesIn(expertCases()), nameOfCase);
INSTANTIATE_TEST_SUITE_P(, Blocks, testing::ValuesIn(blockCases()), nameOfCase);

} // namespace
} // namespace lmc::test
