// Block-quantised weights: rows as bytes, products and gathers of every format agree with the evaluator
// in every order of threads; planted bugs are found, and NVIDIA's compiler makes what was planned.
#include "Budget.h"
#include "Emulator.h"

#include "codegen/cuda/Print.h"
#include "ir/BlockPanels.h"
#include "runtime/Error.h"
#include "runtime/Half.h"

#include <gmock/gmock.h>

#include <cmath>

namespace lmc::test {
namespace {

constexpr unsigned kSeeds[] = {0, 1, 2, 3};
constexpr int64_t kWidth = 32;

/// Numbers without a pattern, the same in every run.
struct Numbers {
  uint64_t state;
  unsigned next() {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<unsigned>(state >> 33);
  }
};

/// Every part of every block is used: scales with signs, minimums, all integers.
std::vector<double> panelBytes(const lm::BlockPanels &panels) {
  std::vector<std::byte> bytes(static_cast<size_t>(panels.size()));
  Numbers numbers{static_cast<uint64_t>(panels.depth + panels.format->bits())};
  const lm::BlockFormat &format = *panels.format;
  for (int64_t column = 0; column < panels.columns; ++column)
    for (int64_t index = 0; index < panels.depth / format.super; ++index) {
      lm::UnpackedBlock block;
      block.d = floatToHalf(std::ldexp(static_cast<float>(numbers.next() % 1024) - 300, -15));
      block.dmin = floatToHalf(std::ldexp(static_cast<float>(numbers.next() % 1024) - 300, -13));
      block.exponent = static_cast<uint8_t>(120 + numbers.next() % 6);
      for (int sub = 0; sub < 16; ++sub) {
        block.scales[sub] = static_cast<uint8_t>(numbers.next() % 64);
        block.minimums[sub] = static_cast<uint8_t>(numbers.next() % 64);
        if (!format.minimums && numbers.next() % 2)
          block.scales[sub] = static_cast<uint8_t>(-block.scales[sub]);
      }
      for (uint8_t &q : block.q)
        q = static_cast<uint8_t>(numbers.next() % (1u << format.bits()));
      lm::PanelWriter(panels, bytes, column / panels.width)
          .write(index, column % panels.width, {&block, 1});
    }
  std::vector<double> values;
  for (std::byte byte : bytes)
    values.push_back(static_cast<int8_t>(byte));
  return values;
}

std::vector<double> rowsOf(int64_t count) {
  std::vector<double> rows;
  Numbers numbers{7};
  for (int64_t i = 0; i < count; ++i)
    rows.push_back(static_cast<float>(numbers.next() % 2001) / 500 - 2);
  return rows;
}

struct Case {
  std::string name, format;
  int64_t rows, depth, columns;
  bool bias = false; ///< an epilogue: + bias, relu
  int64_t most = 0;  ///< rows are symbolic, up to so many
};

lm::BlockPanels panelsOf(const Case &c) {
  return {lm::findBlockFormat(c.format), c.depth, c.columns, kWidth};
}

std::string tensor(const std::string &rows, int64_t columns, const char *element, bool symbolic) {
  return fmt::format("tensor<{}x{}x{}{}>", rows, columns, element,
                     symbolic ? ", #lm.dims<\"T\">" : "");
}

Source productSource(const Case &c) {
  bool symbolic = c.most > 0;
  std::string rows = symbolic ? "?" : std::to_string(c.rows);
  auto of = [&](int64_t columns, const char *element) {
    return tensor(rows, columns, element, symbolic);
  };
  lm::BlockPanels panels = panelsOf(c);
  std::string x = of(c.depth, "f32"), y = of(c.columns, "f32");
  std::string codes = of(c.depth, "i8"), scales = of(c.depth / 32, "f32"),
              halves = of(c.depth / 16, "f32");
  std::string w = fmt::format("tensor<{}x{}xi8>", panels.count(), panels.panelBytes());
  std::string bias = fmt::format("tensor<{}xf32>", c.columns);
  std::string text = fmt::format(
      "func.func @f(%x: {}, %w: {}{}) -> {}{} {{\n"
      "%c:4 = lm.quantize_rows %x : ({}) -> ({}, {}, {}, {})\n"
      "%p = lm.block_matmul %c#0, %c#1, %c#2, %c#3, %w {{columns = {} : i64, format = \"{}\", "
      "width = {} : i64}} : ({}, {}, {}, {}, {}) -> {}\n",
      x, w, c.bias ? ", %b: " + bias : "", y,
      symbolic ? fmt::format(" attributes {{lm.ranges = {{T = array<i64: 1, {}>}}}}", c.most) : "",
      x, codes, scales, scales, halves, c.columns, c.format, kWidth, codes, scales, scales, halves,
      w, y);
  if (c.bias)
    text += fmt::format("%r = lm.broadcast %b {{dims = array<i64: 1>}} : ({0}) -> {1}\n"
                        "%s = lm.add %p, %r : ({1}, {1}) -> {1}\n%y = lm.relu %s : ({1}) -> {1}\n",
                        bias, y);
  text += fmt::format("return {} : {}\n}}", c.bias ? "%y" : "%p", y);
  Source source{c.name, text, {}, 1e-4};
  if (symbolic)
    source.extents["T"] = c.rows;
  return source;
}

Program productOf(Context &context, const Case &c) {
  std::vector<std::vector<double>> inputs = {rowsOf(c.rows * c.depth), panelBytes(panelsOf(c))};
  if (c.bias)
    inputs.push_back(rowsOf(c.columns));
  return makeProgram(context, productSource(c), c.name, inputs);
}

std::vector<Case> products() {
  std::vector<Case> list;
  for (const lm::BlockFormat &format : lm::blockFormats()) {
    std::string name(format.name);
    list.push_back({name + "_row", name, 1, 512, 70});
    list.push_back({name + "_rows", name, 19, 768, 37, true});
  }
  list.push_back({"short", "q4_0", 3, 32, 5});
  list.push_back({"symbolic_few", "q4_k", 2, 256, 33, false, 40});
  list.push_back({"symbolic_many", "q6_k", 37, 256, 64, true, 40});
  return list;
}

Case caseOf(const std::string &name) {
  for (const Case &c : products())
    if (c.name == name)
      return c;
  ADD_FAILURE() << "no case " << name;
  return {};
}

TEST(Blocks, ProductsAgreeWithTheEvaluatorInEveryOrder) {
  Context context;
  std::vector<Program> programs;
  for (const Case &c : products()) {
    programs.push_back(productOf(context, c));
    EXPECT_EQ(programs.back().kernels.size(), 2u) << c.name; // rows as bytes, the product
  }
  expectAgreement(programs, kSeeds);
}

/// The row that products of few rows (dot products) and of many (tensor cores) begin with has the same bits
/// in each.
TEST(Blocks, BitsDoNotDependOnTheNumberOfRows) {
  Context context;
  std::vector<Program> programs;
  for (const char *format : {"q5_k", "q6_k", "q4_0"}) // one sub-block a step, two, an offset
    for (int64_t rows : {1, 8, 12, 20})
      programs.push_back(
          productOf(context, {fmt::format("{}_{}", format, rows), format, rows, 512, 40}));
  std::vector<const Program *> all;
  for (const Program &program : programs)
    all.push_back(&program);
  Emulator emulator(all, cuda::deviceLibrary());
  std::vector<std::vector<double>> first;
  for (const Program &program : programs) {
    std::string fault;
    std::vector<lm::Tensor> results = emulator.run(program, 0, fault);
    ASSERT_EQ(fault, "");
    first.emplace_back(results[0].data.begin(), results[0].data.begin() + 40);
  }
  for (size_t i = 0; i < first.size(); ++i)
    EXPECT_EQ(first[i], first[i / 4 * 4]) << i;
}

/// Rows of a table, and products of rows that were gathered, as a model's first layer has them.
TEST(Blocks, GathersAgreeWithTheEvaluatorToTheBit) {
  Context context;
  std::vector<Program> programs;
  for (const lm::BlockFormat &format : lm::blockFormats()) {
    std::string name(format.name);
    lm::BlockPanels panels{&format, 512, 45, kWidth};
    Source source{
        "gather_" + name,
        fmt::format("func.func @f(%w: tensor<{0}x{1}xi8>, %ids: tensor<2x3xi32>) -> "
                    "tensor<2x3x512xf32> {{\n"
                    "%y = lm.block_gather %w, %ids {{columns = 45 : i64, depth = 512 : i64, format "
                    "= \"{2}\", width = 32 : i64}} : (tensor<{0}x{1}xi8>, tensor<2x3xi32>) -> "
                    "tensor<2x3x512xf32>\nreturn %y : tensor<2x3x512xf32>\n}}",
                    panels.count(), panels.panelBytes(), name),
        {},
        0};
    programs.push_back(
        makeProgram(context, source, source.name, {panelBytes(panels), {0, 44, 31, 32, 7, 44}}));
  }
  expectAgreement(programs, kSeeds);
}

TEST(Blocks, RowsThatAreNoNumbersStayVisible) {
  Context context;
  Case c{"odd", "q8_0", 4, 64, 3};
  Source source = productSource(c);
  std::vector<double> x = rowsOf(4 * 64);
  std::fill(x.begin(), x.begin() + 64, 0.0); // scale 0
  x[64] = INFINITY;
  x[2 * 64 + 40] = NAN;
  std::vector<double> expected(12, 1.0);
  Program program = makeProgram(context, source, "odd", {x, panelBytes(panelsOf(c))}, {expected});
  Emulator emulator({&program}, cuda::deviceLibrary());
  std::string fault;
  lm::Tensor y = emulator.run(program, 0, fault).at(0);
  ASSERT_EQ(fault, "");
  for (int column = 0; column < 3; ++column) {
    EXPECT_EQ(y.data[column], 0);
    EXPECT_TRUE(std::isnan(y.data[3 + column]));
    EXPECT_TRUE(std::isnan(y.data[6 + column]));
    EXPECT_TRUE(std::isfinite(y.data[9 + column]));
  }
}

TEST(Blocks, RefusesPanelsOfAnotherTarget) {
  Context context;
  lm::BlockPanels panels{lm::findBlockFormat("q4_0"), 64, 7, 8};
  std::string text =
      fmt::format("func.func @f(%w: tensor<{0}x{1}xi8>, %ids: tensor<3xi32>) -> tensor<3x64xf32> "
                  "{{\n%y = lm.block_gather %w, %ids {{columns = 7 : i64, depth = 64 : i64, format "
                  "= \"q4_0\", width = 8 : i64}} : (tensor<{0}x{1}xi8>, tensor<3xi32>) -> "
                  "tensor<3x64xf32> loc(\"model.embed\")\nreturn %y : tensor<3x64xf32>\n}}",
                  panels.count(), panels.panelBytes());
  try {
    makeProgram(context, {"panels", text, {}}, "k", {panelBytes(panels), {0, 1, 2}});
    FAIL();
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), testing::HasSubstr("'model.embed': kernels for CUDA read panels of "
                                                 "32 columns, these have 8"));
  }
}

TEST(Blocks, FindsPlantedBugs) {
  const Plant plants[] = {
      {"a barrier before the warps' sums meet", "__syncthreads(); // all warps' sums",
       "// all warps' sums", "q4_k_row"},
      {"a warp's k", "block += Warps", "block += Warps + 1", "q8_0_row"},
      {"the sub-block's scale", "block * 32 % Format::kSuper / Format::kSub + h",
       "block * 32 % Format::kSuper / Format::kSub", "q6_k_row"},
      {"the minimum", "fused(-weights.minimum, all, sum)", "fused(weights.minimum, all, sum)",
       "q4_k_row"},
      {"the sign of q4_1's minimum", "result.minimum = -result.minimum;", ";", "q4_1_row"},
      {"the offset", "static_cast<float>(Format::kOffset), all",
       "static_cast<float>(Format::kOffset + 1), all", "q4_0_row"},
      {"the sums of halves", "* 2 + h]", "* 2]", "q2_k_row"},
      {"high bits", "<< Format::kLowBits;\n    }", "<< (Format::kLowBits - 1);\n    }", "q5_0_row"},
      {"the table's upper half", "bytes >> 3 & 0x01010101u", "bytes >> 2 & 0x01010101u",
       "iq4_nl_row"},
      {"an exponent", "(e - 1) << 23", "e << 23", "mxfp4_row"},
      {"the last row", "const int row = minimum(i, x.size - 1);", "const int row = 0;", "short"},
      {"a tile's last row", "minimum(m * 16 + high * 8 + group, x.size - 1)",
       "minimum(m * 16 + high * 8 + group, 0)", "q4_k_rows"},
      {"a tile's lower rows", "m * 16 + high * 8 + group", "m * 16 + group", "q4_0_rows"},
      {"a tile's second 16 k of the rows", "= codes[4];", "= codes[0];", "q8_0_rows"},
      {"a tile's second 16 k of the weights", "inGroup + 4, values)", "inGroup, values)",
       "q4_0_rows"},
      {"a tile's half of a block", "{{words.at[h]}}", "{{words.at[0]}}", "q6_k_rows"},
      {"the lane that has a column's scale", "n * 8 + inGroup * 2 + e;", "n * 8 + inGroup * 2;",
       "q5_k_rows"},
      {"where a tile's sums go", "(m * 16 + i / 2 * 8 + group) * kWarp",
       "(m * 16 + i % 2 * 8 + group) * kWarp", "mxfp4_rows"},
      {"rounding of codes", "rintf(x * inverse)", "floorf(x * inverse)", "q8_0_row"},
  };
  Context context;
  std::map<std::string, Program> programs;
  for (const Plant &plant : plants)
    if (!programs.contains(plant.program))
      programs.emplace(plant.program, productOf(context, caseOf(plant.program)));
  expectFound(programs, plants);
}

struct Budget {
  const char *name;
  unsigned registers; ///< of any architecture
};

/// 256 threads; 64 registers leave room for four blocks on a multiprocessor, 128 for two.
const Budget kBudgets[] = {
    {"q8_0_row", 64},     {"q4_0_row", 64},   {"q4_k_row", 64},   {"q5_k_row", 64},
    {"q6_k_row", 64},     {"q2_k_row", 64},   {"iq4_nl_row", 64}, {"mxfp4_row", 64},
    {"q8_0_rows", 128},   {"q4_k_rows", 128}, {"q6_k_rows", 128}, {"q3_k_rows", 128},
    {"iq4_nl_rows", 128}, {"q2_k_rows", 128}, {"q5_1_rows", 128}, {"q5_k_rows", 128},
};

TEST(Blocks, StaysInItsBudget) {
  std::string why;
  const cuda::Nvrtc *compiler = cuda::Nvrtc::open(&why);
  if (!compiler)
    GTEST_SKIP() << why;
  Context context;
  std::vector<cuda::Kernel> kernels;
  for (const Budget &budget : kBudgets)
    for (auto &[name, kernel] : productOf(context, caseOf(budget.name)).kernels)
      if (kernel.family == "matmul")
        kernels.push_back(kernel);
  ASSERT_EQ(kernels.size(), std::size(kBudgets));
  for (const char *architecture : {"sm_80", "sm_90a", "sm_100a"}) {
    auto resources = resourcesInRegisters(*compiler, kernels, architecture);
    for (size_t i = 0; i < kernels.size(); ++i)
      EXPECT_LE(resources.at(kernels[i].name).registers, kBudgets[i].registers)
          << kBudgets[i].name << " for " << architecture;
  }
}

} // namespace
} // namespace lmc::test
