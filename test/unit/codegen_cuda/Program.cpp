#include "Program.h"

#include "ir/Dialect.h"
#include "passes/Passes.h"
#include "passes/Pipeline.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace mlir;

namespace lmc::test {
namespace {

void nameArguments(func::FuncOp function) {
  OpBuilder b(function.getContext());
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    if (!function.getArgAttr(i, kName)) {
      function.setArgAttr(i, kName, b.getStringAttr("a" + std::to_string(i)));
      function.setArgAttr(i, kRole, b.getStringAttr("input"));
    }
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    if (!function.getResultAttr(i, kName) && !function.getResultAttr(i, kUpdates)) {
      function.setResultAttr(i, kName, b.getStringAttr("r" + std::to_string(i)));
      function.setResultAttr(i, kRole, b.getStringAttr("output"));
    }
}

/// Repeatable numbers; second moments ("v", "adamw.v.*") are positive, ids below 4, flags true.
lm::Tensor waves(RankedTensorType type, StringRef name, unsigned seed) {
  lm::Tensor x(type.getShape());
  for (int64_t j = 0; j < x.size(); ++j) {
    double wave = std::sin(1.7 * j + 0.9 * seed + 0.3);
    bool isMoment = name == "v" || name.starts_with("adamw.v.");
    x.data[j] = isMoment                        ? 0.01 + wave * wave
                : type.getElementType().isF64() ? 0.6 * wave
                                                : 3 * wave;
    if (type.getElementType().isInteger(1))
      x.data[j] = 1;
    else if (type.getElementType().isInteger(32))
      x.data[j] = static_cast<double>((5 * j + 2 * seed + 1) % 4);
    else if (type.getElementType().isF32())
      x.data[j] = static_cast<float>(x.data[j]);
    else if (type.getElementType().isBF16())
      x.data[j] = std::round(x.data[j] * 32) / 32; // exact in bf16
  }
  return x;
}

} // namespace

Program makeProgram(Context &context, const Source &source, const std::string &prefix,
                    std::vector<std::vector<double>> inputs,
                    std::vector<std::vector<double>> expected) {
  Program program{source, context.parse(source.mlir), {}, {}, {}, {}, {}};
  func::FuncOp function = functionOf(*program.plan);
  nameArguments(function);

  // Inputs and expectations at the extents of this run.
  OwningOpRef<ModuleOp> bound(program.plan->clone());
  std::vector<std::string> bindings;
  for (const auto &extent : source.extents)
    bindings.push_back(extent.getKey().str() + "=" + std::to_string(extent.getValue()));
  InferShapesOptions shapes;
  shapes.bindings = bindings;
  EXPECT_TRUE(context.run(*bound, createInferShapes(shapes))) << context.errors;
  func::FuncOp reference = functionOf(*bound);
  for (unsigned i = 0; i < reference.getNumArguments(); ++i) {
    auto type = cast<RankedTensorType>(reference.getArgumentTypes()[i]);
    StringRef name = function.getArgAttrOfType<StringAttr>(i, kName).getValue();
    program.inputNames.push_back(name.str());
    program.inputs.push_back(inputs.empty() ? waves(type, name, i)
                                            : lm::Tensor(type.getShape(), inputs[i]));
  }
  for (unsigned i = 0; i < reference.getNumResults(); ++i) {
    auto updates = function.getResultAttrOfType<IntegerAttr>(i, kUpdates);
    program.resultNames.push_back(
        updates ? program.inputNames[updates.getInt()]
                : function.getResultAttrOfType<StringAttr>(i, kName).getValue().str());
    if (!expected.empty())
      program.expected.emplace_back(
          cast<RankedTensorType>(reference.getResultTypes()[i]).getShape(), expected[i]);
  }
  if (expected.empty())
    for (lm::Tensor &result : evaluated(reference, program.inputs)) {
      EXPECT_TRUE(llvm::all_of(result.data, [](double x) { return std::isfinite(x); }))
          << source.name; // NaN would agree with NaN
      program.expected.push_back(std::move(result));
    }

  PipelineOptions pipeline;
  pipeline.gpu = true;
  pipeline.splitAttention = source.splitAttention;
  runPipeline(*program.plan, pipeline);
  for (auto op : program.plan->getOps<plan::KernelOp>()) {
    std::string name = op.getSymName().str();
    program.kernels[name] = cuda::emitKernel(op, cuda::rangesOf(*program.plan), prefix + "_" + name,
                                             source.architecture);
  }
  return program;
}

} // namespace lmc::test
