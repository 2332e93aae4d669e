#include "ReferenceModel.h"

#include "passes/Passes.h"
#include "runtime/Error.h"

#include <fstream>
#include <gmock/gmock.h>

namespace lmc {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

std::string write(const std::string &text) {
  std::string file = testing::TempDir() + "model.mlir";
  std::ofstream(file) << text;
  return file;
}

std::string refusal(const std::string &text, bool inference = false) {
  try {
    ReferenceModel model(readModelConfig(write(text)), {.inference = inference});
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

const std::string square = R"(func.func @loss(
    %w: tensor<3xf32> {lm.name = "w", lm.role = "parameter", lm.init = array<f64: 1.0, 0.5>},
    %x: tensor<3xf32> {lm.name = "x", lm.role = "input"}) -> tensor<f32> {
  %y = lm.mul %w, %x : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  %s = lm.reduce %y {kind = "sum", dims = array<i64: 0>} : (tensor<3xf32>) -> tensor<f32>
  return %s : tensor<f32>
})";

TEST(IrFile, RunsAndDifferentiates) {
  ReferenceModel model(readModelConfig(write(square)), {.inference = false});
  ASSERT_EQ(model.specs.size(), 1u);
  EXPECT_EQ(model.specs[0], (ParameterSpec{"w", {3}, 1.0, 0.5}));
  model.parameters[0].data = {1, 2, 3};
  lm::Tensor x({3}, {5, 7, 11});
  EXPECT_EQ(model.run("eval", x)[0].data[0], 5 + 14 + 33);
  model.differentiate();
  EXPECT_EQ(model.run("loss", x)[1].data, (std::vector<double>{5, 7, 11}));
}

TEST(IrFile, PrintedProgramsAreReadBack) {
  for (const ModelConfig &config : {oddGpt2(), oddLlama(), oddNetwork()}) {
    ReferenceModel model(config, {});
    std::string text;
    llvm::raw_string_ostream(text) << model.program();
    ReferenceModel again(readModelConfig(write(text)), {});
    EXPECT_EQ(again.specs, model.specs);
    std::string second;
    llvm::raw_string_ostream(second) << again.program();
    EXPECT_EQ(second, text);
  }
}

TEST(IrFile, Refusals) {
  std::string file = testing::TempDir() + "model.mlir";
  EXPECT_THAT(refusal("func.func @loss( {"), StartsWith(file + ":1:"));
  EXPECT_THAT(refusal("func.func @loss() {\n  lm.nothing\n}"), StartsWith(file + ":2:"));
  EXPECT_EQ(refusal("module {}"), file + ": no function @loss; training needs one");
  EXPECT_EQ(refusal(square, /*inference=*/true),
            file + ": no function @forward; inference needs one");
  EXPECT_THAT(refusal("func.func @loss(%a: tensor<f32>) -> tensor<f32> {\n"
                      "  return %a : tensor<f32>\n}"),
              HasSubstr(":1:1: argument 0 of @loss needs lm.role and lm.name"));
  EXPECT_THAT(refusal("func.func private @loss()"), HasSubstr("@loss needs a body"));
}

} // namespace
} // namespace lmc
