#include "tools/bench/Graph.h"

#include "codegen/Compiler.h"
#include "codegen/cpu/Matmul.h"
#include "codegen/cuda/Gpus.h"
#include "ir/Dialect.h"
#include "ir/ProgramAttributes.h"
#include "passes/Pipeline.h"
#include "runtime/Bfloat16.h"
#include "runtime/Error.h"
#include "runtime/Philox.h"

#include <cmath>
#include <numeric>

using namespace mlir;

namespace lmc::bench {
namespace {

OwningOpRef<ModuleOp> buildModule(MLIRContext &context, const std::vector<Argument> &arguments,
                                  const BuildGraph &build) {
  OpBuilder builder(&context);
  Location loc = NameLoc::get(builder.getStringAttr("f"));
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  builder.setInsertionPointToStart(module->getBody());
  SmallVector<Type> types;
  for (const Argument &argument : arguments) {
    Type element = builder.getF32Type();
    if (argument.ids)
      element = builder.getI32Type();
    else if (argument.bf16)
      element = builder.getBF16Type();
    types.push_back(RankedTensorType::get(argument.shape, element));
  }
  auto function = builder.create<func::FuncOp>(loc, "f", builder.getFunctionType(types, {}));
  Block *body = function.addEntryBlock();
  builder.setInsertionPointToStart(body);
  lm::GraphBuilder g(builder, loc);
  SmallVector<Value> values(body->getArguments());
  std::vector<Value> results = build(g, values);
  builder.create<func::ReturnOp>(loc, results);
  SmallVector<Type> resultTypes;
  for (Value result : results)
    resultTypes.push_back(result.getType());
  function.setType(builder.getFunctionType(types, resultTypes));
  for (auto [i, argument] : llvm::enumerate(arguments)) {
    function.setArgAttr(i, kName, builder.getStringAttr(argument.name));
    function.setArgAttr(i, kRole, builder.getStringAttr(argument.weight ? "parameter" : "input"));
  }
  for (size_t i = 0; i < results.size(); ++i) {
    function.setResultAttr(i, kName, builder.getStringAttr("y" + std::to_string(i)));
    function.setResultAttr(i, kRole, builder.getStringAttr("output"));
  }
  return module;
}

size_t sizeOf(const Argument &argument) {
  return static_cast<size_t>(std::accumulate(argument.shape.begin(), argument.shape.end(),
                                             int64_t(1), std::multiplies<>()));
}

} // namespace

Graph::Graph(const std::vector<Argument> &arguments, const BuildGraph &build, const Machine &on)
    : arguments(arguments), build(build), onGpu(!on.gpu.empty()) {
  MLIRContext context;
  loadCompilerDialects(context);
  OwningOpRef<ModuleOp> module = buildModule(context, arguments, build);
  auto fill = [](std::span<float> values, uint64_t stream) {
    Philox random(1, stream);
    int64_t i = 0;
    for (float &value : values)
      value = static_cast<float>(2 * random.uniform(i++) - 1);
  };
  for (auto [stream, argument] : llvm::enumerate(arguments))
    if (argument.weight || argument.bf16) {
      std::vector<float> &values = known[argument.name];
      values.resize(sizeOf(argument));
      fill(values, stream);
      if (argument.bf16)
        for (float &value : values)
          value = bfloat16ToFloat(floatToBfloat16(value));
    }
  CodegenOptions codegen;
  codegen.gpu = on.gpu;
  codegen.products = on.products;
  PipelineOptions pipeline;
  pipeline.gpu = onGpu;
  if (onGpu)
    pipeline.splitAttention.emplace().multiprocessors = cuda::multiprocessorsOf(on.gpu);
  if (!onGpu && std::ranges::any_of(arguments, &Argument::weight))
    pipeline.panelWidth = cpu::panelWidth(cpu::Target::named(codegen.cpu));
  runPipeline(*module, pipeline);
  auto valuesOf = [&](const std::string &name,
                      std::string_view) -> std::optional<std::span<const std::byte>> {
    return std::as_bytes(std::span(known.at(name)));
  };
  session = std::make_unique<Session>(buildExecutable(*module, codegen, {}, valuesOf),
                                      SessionOptions{on.threads, 1});
  for (auto [stream, argument] : llvm::enumerate(arguments)) {
    if (argument.weight)
      continue;
    if (argument.bf16) {
      auto *out = reinterpret_cast<uint16_t *>(session->bytes(argument.name).data());
      std::ranges::transform(known[argument.name], out, floatToBfloat16);
      continue;
    }
    if (argument.ids == 0) {
      fill(session->f32(argument.name), stream);
      continue;
    }
    Philox random(1, stream);
    int64_t i = 0;
    for (int32_t &id : session->i32(argument.name))
      id = static_cast<int32_t>(random.below(i++, argument.ids));
  }
}

void Graph::run() {
  widened.clear();
  session->run("f");
}

double Graph::time() {
  if (!onGpu)
    return secondsOf([this] { run(); });
  session->setProfiling(true);
  run();
  session->setProfiling(false);
  std::span<const double> seconds = session->launchSeconds();
  return std::accumulate(seconds.begin(), seconds.end(), 0.0);
}

std::span<const float> Graph::f32(const std::string &name) {
  if (auto at = known.find(name); at != known.end())
    return at->second;
  const auto &tensors = session->executable().message().tensors();
  auto tensor = std::ranges::find(tensors, name, &executable::Tensor::name);
  if (tensor == tensors.end() || tensor->dtype() != executable::BF16)
    return session->f32(name);
  std::vector<float> &values = widened[name];
  if (values.empty()) {
    std::span<std::byte> bytes = session->bytes(name);
    std::span from(reinterpret_cast<const uint16_t *>(bytes.data()), bytes.size() / 2);
    values.resize(from.size());
    std::ranges::transform(from, values.begin(), bfloat16ToFloat);
  }
  return values;
}

void Graph::checkAll(double tolerance) {
  MLIRContext context;
  loadCompilerDialects(context);
  OwningOpRef<ModuleOp> module = buildModule(context, arguments, build);
  SmallVector<lm::Tensor> inputs;
  for (const Argument &argument : arguments) {
    lm::Tensor tensor(argument.shape);
    if (argument.ids)
      std::ranges::copy(session->i32(argument.name), tensor.data.begin());
    else
      std::ranges::copy(f32(argument.name), tensor.data.begin());
    inputs.push_back(std::move(tensor));
  }
  auto expected = lm::evaluate(*module->getOps<func::FuncOp>().begin(), inputs);
  if (failed(expected))
    fail("the reference evaluator refuses the graph");
  run();
  for (auto [number, tensor] : llvm::enumerate(*expected)) {
    std::string name = "y" + std::to_string(number);
    std::span<const float> got = f32(name);
    double largest = 0;
    for (double value : tensor.data)
      largest = std::max(largest, std::abs(value));
    for (size_t i = 0; i < got.size(); ++i)
      if (!(std::abs(got[i] - tensor.data[i]) <= tolerance * largest))
        fail("result {}, element {}: got {}, float64 gives {}", name, i, got[i], tensor.data[i]);
  }
}

} // namespace lmc::bench
