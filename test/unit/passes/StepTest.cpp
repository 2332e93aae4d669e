// Whole training steps through the passes: each leaves the numbers as they are, gradients agree
// with differences, kernels are well formed, and the memory plan never loses a value.
#include "../ir/OpCases.h"
#include "Graphs.h"

#include "ir/Dialect.h"
#include "ir/Segments.h"
#include "passes/MemoryPlan.h"
#include "passes/Passes.h"

#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <iostream>

using namespace mlir;
using namespace lmc;
using namespace lmc::test;

namespace {

struct Model {
  const char *name;
  std::function<OwningOpRef<ModuleOp>(MLIRContext &)> build;
};

// "square": as many rows as columns, and heads as positions, where wrong indices still fit.
const Model kModels[] = {
    {"mlp", mlp},
    {"gpt", [](MLIRContext &c) { return gptBlock(c); }},
    {"gpt_square", [](MLIRContext &c) { return gptBlock(c, {4, 4, 2, 2, 2, 4, 4}); }},
    {"llama", [](MLIRContext &c) { return llamaBlock(c, {2, 5, 4, 2, 2, 7, 11}); }},
    {"llama_square", [](MLIRContext &c) { return llamaBlock(c, {4, 4, 2, 1, 4, 8, 8}); }},
};

/// Repeatable numbers that suit an argument: ids, positive second moments, else about [-0.6, 0.6].
std::vector<lm::Tensor> argumentsFor(func::FuncOp function) {
  std::vector<lm::Tensor> arguments;
  for (auto [i, type] : llvm::enumerate(function.getArgumentTypes())) {
    lm::Tensor x(cast<RankedTensorType>(type).getShape());
    StringRef name = function.getArgAttrOfType<StringAttr>(i, kName).getValue();
    for (int64_t j = 0; j < x.size(); ++j) {
      double wave = std::sin(1.7 * j + 0.9 * i + 0.3);
      x.data[j] = name.starts_with("adamw.v.") ? 0.01 + wave * wave : 0.6 * wave;
      if (cast<RankedTensorType>(type).getElementType().isInteger(32))
        x.data[j] = (5 * j + 2 * i + 1) % 4;
    }
    arguments.push_back(std::move(x));
  }
  return arguments;
}

class Step : public testing::TestWithParam<Model>, public Context {
protected:
  /// The model's module after differentiation and the optimizer's update.
  void build(int64_t accumulate) {
    module = GetParam().build(context);
    ASSERT_TRUE(succeeded(verify(*module))) << errors;
    InferShapesOptions shapes;
    ASSERT_TRUE(run(*module, createInferShapes(shapes))) << errors;
    DifferentiateOptions differentiate;
    differentiate.seed = 1.0 / accumulate;
    ASSERT_TRUE(run(*module, createDifferentiate(differentiate))) << errors;
    OptimizerUpdateOptions update;
    update.gradClip = 0.5;
    update.accumulate = accumulate;
    ASSERT_TRUE(run(*module, createOptimizerUpdate(update))) << errors;
  }
  /// `lossRows`: rows of a chunk of logits; 0: all.
  void lower(int64_t lossRows = 0) {
    ASSERT_TRUE(run(*module, createCanonicalizerPass()) && run(*module, createCSEPass())) << errors;
    ASSERT_TRUE(run(*module, createFlashAttention())) << errors;
    ASSERT_TRUE(run(*module, createDecompose())) << errors;
    ASSERT_TRUE(run(*module, createCanonicalizerPass()) && run(*module, createCSEPass())) << errors;
    ASSERT_TRUE(run(*module, chunkLoss(lossRows))) << errors;
    ASSERT_TRUE(run(*module, createFuseKernels())) << errors;
    ASSERT_TRUE(succeeded(verify(*module))) << errors;
  }
  static std::unique_ptr<Pass> chunkLoss(int64_t rows) {
    ChunkLossOptions options;
    options.rows = rows;
    return createChunkLoss(options);
  }
  OwningOpRef<ModuleOp> module;
};

TEST_P(Step, GradientsMatchDifferences) {
  module = GetParam().build(context);
  OwningOpRef<ModuleOp> plain = module->clone();
  ASSERT_TRUE(run(*module, createDifferentiate())) << errors;
  std::vector<lm::Tensor> arguments = argumentsFor(functionOf(*plain));
  SmallVector<lm::Tensor> results = evaluated(functionOf(*module), arguments);
  constexpr double h = 1e-4;
  unsigned gradient = 0;
  for (unsigned i = 0; i < arguments.size(); ++i) {
    if (!hasRole(functionOf(*plain), i, "parameter"))
      continue;
    ++gradient;
    // A few elements of each parameter: the whole is a sum over the same ops.
    int64_t step = std::max<int64_t>(1, arguments[i].size() / 5);
    for (int64_t j = 0; j < arguments[i].size(); j += step) {
      double before = arguments[i].data[j];
      auto at = [&](double offset) {
        arguments[i].data[j] = before + offset * h;
        return evaluated(functionOf(*plain), arguments).front().data[0];
      };
      double expected = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * h);
      arguments[i].data[j] = before;
      EXPECT_NEAR(results[gradient].data[j], expected, 1e-9)
          << functionOf(*plain).getArgAttrOfType<StringAttr>(i, kName).str() << "[" << j << "]";
    }
  }
  EXPECT_GT(gradient, 2u);
}

TEST_P(Step, EveryPassKeepsTheNumbers) {
  for (int64_t accumulate : {1, 2}) {
    build(accumulate);
    if (HasFatalFailure())
      return;
    for (const char *name : {"train_step", "accumulate", "apply"}) {
      func::FuncOp function = functionOf(*module, name);
      if (!function)
        continue;
      OwningOpRef<ModuleOp> copy = module->clone();
      std::vector<lm::Tensor> arguments = argumentsFor(function);
      SmallVector<lm::Tensor> expected = evaluated(function, arguments);
      auto check = [&](std::unique_ptr<Pass> pass) {
        std::string what = std::string(name) + " after " + pass->getArgument().str();
        ASSERT_TRUE(run(*copy, std::move(pass))) << errors;
        ASSERT_TRUE(succeeded(verify(*copy))) << errors;
        expectClose(evaluated(functionOf(*copy, name), arguments), expected, 1e-10, what);
      };
      check(createInferShapes());
      check(createCanonicalizerPass());
      check(createCSEPass());
      check(createFlashAttention());
      check(createDecompose());
      check(createCanonicalizerPass());
      check(createCSEPass());
      check(chunkLoss(3));
      check(createFuseKernels());
      check(createJoinKernels());
    }
  }
}

/// What emitters rely on: a reduction's result is used only where it was finished.
void checkKernel(lm::KernelOp kernel) {
  StringRef family = kernel.getFamily();
  kernel.walk([&](lm::ReduceOp reduce) {
    EXPECT_TRUE(family == "row" || family == "column") << family.str();
    SmallVector<Value> work = {reduce.getY()};
    while (!work.empty())
      for (Operation *user : work.pop_back_val().getUsers()) {
        if (isa<lm::YieldOp>(user))
          continue;
        if (isa<lm::ReduceOp>(user)) {
          EXPECT_EQ(family, "row") << "a column reduction waits for another";
          continue;
        }
        if (auto broadcast = dyn_cast<lm::BroadcastOp>(user))
          for (auto [i, dim] : llvm::enumerate(broadcast.getDims()))
            EXPECT_EQ(static_cast<int64_t>(i), dim) << "row statistics of another row";
        else
          EXPECT_TRUE(isa<lm::PointwiseOp>(user)) << user->getName().getStringRef().str();
        work.push_back(user->getResult(0));
      }
  });
}

TEST_P(Step, KernelsAreWellFormedAndInOrder) {
  build(1);
  lower();
  if (HasFatalFailure())
    return;
  func::FuncOp step = functionOf(*module, "train_step");
  llvm::DenseSet<Value> defined(step.getArguments().begin(), step.getArguments().end());
  for (Operation &op : step.getBody().front()) {
    for (Value operand : op.getOperands())
      EXPECT_TRUE(defined.contains(operand)) << "read before it is made";
    defined.insert(op.result_begin(), op.result_end());
    if (auto kernel = dyn_cast<lm::KernelOp>(op)) {
      EXPECT_GT(kernel.getNumResults(), 0u);
      checkKernel(kernel);
    }
  }
}

/// An input that an output overwrites may reach only the same element of every result, or the same
/// row in a row kernel: other work items would find it gone. Tried on numbers, not on the IR.
void expectLocal(lm::KernelOp kernel, unsigned input) {
  std::vector<lm::Tensor> values;
  for (Type type : kernel.getInputs().getTypes()) {
    auto tensor = cast<RankedTensorType>(type);
    lm::Tensor x(tensor.getShape(), 1);
    for (int64_t i = 0; isa<FloatType>(tensor.getElementType()) && i < x.size(); ++i)
      x.data[i] = 1 + 0.5 * std::sin(1.3 * i + values.size());
    values.push_back(std::move(x));
  }
  auto evaluate = [&] {
    SmallVector<const lm::Tensor *> pointers;
    for (const lm::Tensor &value : values)
      pointers.push_back(&value);
    SmallVector<lm::Tensor> results;
    EXPECT_TRUE(succeeded(lm::evaluateBlock(kernel.getBody().front(), pointers, results)));
    return results;
  };
  SmallVector<lm::Tensor> before = evaluate();
  int64_t at = values[input].size() / 2, n = values[input].lastDim();
  values[input].data[at] += 0.25;
  SmallVector<lm::Tensor> after = evaluate();
  bool row = kernel.getFamily() == "row";
  for (size_t o = 0; o < before.size(); ++o)
    for (int64_t j = 0; j < before[o].size(); ++j) {
      if (before[o].data[j] == after[o].data[j])
        continue;
      int64_t index = before[o].rank() == values[input].rank() && row ? j / n : j;
      EXPECT_EQ(index, row ? at / n : at) << kernel.getFamily().str();
    }
}

/// Walks the launches over memory that knows which value each byte range holds.
class Memory {
public:
  Memory(func::FuncOp function, const MemoryPlan &plan) : function(function), plan(plan) {
    for (BlockArgument argument : function.getArguments())
      write(argument);
  }

  void launch(lm::KernelOp kernel) {
    for (auto [i, input] : llvm::enumerate(kernel.getInputs())) {
      EXPECT_TRUE(holds(input)) << "a value is overwritten before it is read";
      for (Value output : kernel.getOutputs()) {
        if (!overlap(input, output))
          continue;
        EXPECT_TRUE(readsInPlace(kernel.getBody().front(), i))
            << "an input is overwritten too early";
        Segments segments(kernel.getSegmentsAttr());
        EXPECT_EQ(segments.ofInput(i), segments.ofOutput(cast<OpResult>(output).getResultNumber()))
            << "an input of one segment is overwritten by another";
        expectLocal(kernel, i);
        EXPECT_EQ(begin(input), begin(output));
        EXPECT_EQ(input.getType(), output.getType());
      }
    }
    for (Value a : kernel.getOutputs())
      for (Value b : kernel.getOutputs())
        EXPECT_TRUE(a == b || !overlap(a, b));
    for (Value output : kernel.getOutputs())
      write(output);
  }

  void finish(Operation *terminator) {
    for (OpOperand &result : terminator->getOpOperands()) {
      unsigned i = result.getOperandNumber();
      auto updates = function.getResultAttrOfType<IntegerAttr>(i, kUpdates);
      auto name = updates ? function.getArgAttrOfType<StringAttr>(updates.getInt(), kName)
                          : function.getResultAttrOfType<StringAttr>(i, kName);
      EXPECT_EQ(plan.storageOf(result.get()).tensor, name.str());
      EXPECT_TRUE(holds(result.get())) << "result " << i << " is overwritten";
    }
  }

private:
  int64_t begin(Value value) const {
    const Storage &place = plan.storageOf(value);
    return (place.tensor.empty() ? place.offset : 0) + plan.offsetOf(value);
  }
  int64_t end(Value value) const { return begin(value) + largestBytes(value.getType(), {}); }
  bool overlap(Value a, Value b) const {
    return plan.storageOf(a).tensor == plan.storageOf(b).tensor && begin(a) < end(b) &&
           begin(b) < end(a);
  }
  /// A view shows what kernels wrote, all of it.
  bool holds(Value value) const {
    Operation *op = value.getDefiningOp();
    if (op && isView(op))
      return llvm::all_of(op->getOperands(), [&](Value part) { return holds(part); });
    return llvm::is_contained(whole, value);
  }
  void write(Value value) {
    llvm::erase_if(whole, [&](Value other) { return overlap(other, value); });
    whole.push_back(value);
  }

  func::FuncOp function;
  const MemoryPlan &plan;
  SmallVector<Value> whole; ///< values that are whole in memory
};

/// The most transient bytes that values need at once; one that takes over another's place counts
/// once.
int64_t bytesLiveAtOnce(func::FuncOp function, const MemoryPlan &plan) {
  llvm::DenseMap<Operation *, unsigned> number;
  for (Operation &op : function.getBody().front())
    number[&op] = number.size();
  std::vector<int64_t> live(number.size(), 0);
  for (lm::KernelOp kernel : function.getOps<lm::KernelOp>())
    for (Value output : kernel.getOutputs()) {
      const Storage &place = plan.storageOf(output);
      if (!place.tensor.empty())
        continue;
      unsigned first = number[kernel], last = first;
      bool handedOn = false;
      SmallVector<Value> work = {output};
      while (!work.empty())
        for (Operation *user : work.pop_back_val().getUsers()) {
          if (isView(user))
            work.push_back(user->getResult(0));
          if (number[user] >= last) {
            last = number[user];
            handedOn = isa<lm::KernelOp>(user) && llvm::any_of(user->getResults(), [&](Value y) {
                         return &plan.storageOf(y) == &place;
                       });
          }
        }
      for (unsigned t = first; t < last + !handedOn; ++t)
        live[t] += alignedBytes(largestBytes(output.getType(), {}));
    }
  return *std::max_element(live.begin(), live.end());
}

TEST_P(Step, MemoryPlanKeepsEveryValue) {
  for (auto [accumulate, lossRows, joined] : {std::tuple(1, 0, false),
                                              {3, 0, false},
                                              {1, 8, false},
                                              {3, 8, false},
                                              {1, 3, false},
                                              {1, 0, true},
                                              {3, 0, true}}) {
    build(accumulate);
    lower(lossRows);
    if (HasFatalFailure())
      return;
    if (joined) {
      ASSERT_TRUE(run(*module, createJoinKernels())) << errors;
      unsigned launches = 0;
      module->walk([&](lm::KernelOp kernel) { launches += kernel.getSegments().has_value(); });
      EXPECT_GT(launches, 0u);
    }
    for (func::FuncOp function : module->getOps<func::FuncOp>()) {
      MemoryPlan plan(function);
      Memory memory(function, plan);
      for (lm::KernelOp kernel : function.getOps<lm::KernelOp>())
        memory.launch(kernel);
      memory.finish(function.getBody().front().getTerminator());
      int64_t bound = bytesLiveAtOnce(function, plan);
      std::cout << "  @" << function.getName().str() << ": transient " << plan.transientBytes()
                << " bytes, live at once " << bound << "\n";
      EXPECT_GE(plan.transientBytes(), bound);
      EXPECT_LE(plan.transientBytes(), bound + bound / 4);
    }
    ASSERT_TRUE(run(*module, createPlanMemory())) << errors;
    VerifyPhaseOptions verify;
    verify.phase = "plan";
    EXPECT_TRUE(run(*module, createVerifyPhase(verify))) << errors;
  }
}

/// Returned arguments in every order: old contents must be read before new ones are written.
TEST(MemoryPlan, CopiesComeInTheRightOrder) {
  const char *names[] = {"a", "b", "c"};
  // Result i of the program is argument order[i] and updates argument i; `old` is an output too.
  int order[] = {0, 1, 2};
  do
    for (int old = 0; old < 3; ++old) {
      Context context;
      std::string arguments, results = "tensor<3xf32> {lm.name = \"old\", lm.role = \"output\"}";
      std::string returned = std::string("%") + names[old], types = "tensor<3xf32>";
      for (int i = 0; i < 3; ++i) {
        arguments += std::string(i ? ", %" : "%") + names[i] + ": tensor<3xf32> {lm.name = \"" +
                     names[i] + "\", lm.role = \"state\"}";
        results = "tensor<3xf32> {lm.updates = " + std::to_string(i) + " : i64}, " + results;
        returned = std::string("%") + names[order[i]] + ", " + returned;
        types += ", tensor<3xf32>";
      }
      auto module = context.parse("func.func @f(" + arguments + ") -> (" + results +
                                  ") {\n  return " + returned + " : " + types + "\n}\n");
      ASSERT_TRUE(module);
      func::FuncOp function = functionOf(*module);
      std::vector<lm::Tensor> values = {lm::Tensor({3}, 1), lm::Tensor({3}, 2), lm::Tensor({3}, 3)};
      SmallVector<lm::Tensor> expected = evaluated(function, values);
      MemoryPlan plan(function);
      Memory memory(function, plan);
      for (lm::KernelOp kernel : function.getOps<lm::KernelOp>())
        memory.launch(kernel);
      memory.finish(function.getBody().front().getTerminator());
      expectClose(evaluated(function, values), expected, 0, "copies");
    }
  while (std::next_permutation(order, order + 3));
}

INSTANTIATE_TEST_SUITE_P(Models, Step, testing::ValuesIn(kModels),
                         [](const auto &info) { return std::string(info.param.name); });

} // namespace
