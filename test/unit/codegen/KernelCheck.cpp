#include "test/unit/codegen/KernelCheck.h"

#include "codegen/Compiler.h"
#include "ir/Dialect.h"
#include "passes/Pipeline.h"
#include "runtime/Error.h"
#include "runtime/Philox.h"
#include "runtime/Session.h"

#include "mlir/IR/Verifier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <sstream>

using namespace mlir;

namespace lmc::test {

ArgumentSpec::ArgumentSpec(const char *text) {
  std::string all = text;
  size_t open = all.find('['), close = all.find(']');
  element = all.substr(0, open);
  std::istringstream inside(all.substr(open + 1, close - open - 1));
  for (std::string dim; std::getline(inside, dim, ',');)
    dims.push_back(dim);
  if (size_t bound = all.find('<'); bound != std::string::npos)
    below = std::stoll(all.substr(bound + 1));
}

namespace {

int64_t extentOf(const std::string &dim, const Extents &extents) {
  return std::isdigit(static_cast<unsigned char>(dim[0])) ? std::stoll(dim) : extents.at(dim);
}

Type typeOf(MLIRContext &context, const ArgumentSpec &spec) {
  Builder b(&context);
  Type element = spec.element == "f32"   ? Type(b.getF32Type())
                 : spec.element == "i32" ? Type(b.getI32Type())
                                         : Type(b.getI1Type());
  lm::Shape shape;
  for (const std::string &dim : spec.dims) {
    if (std::isdigit(static_cast<unsigned char>(dim[0])))
      shape.push_back(lm::Dim(std::stoll(dim)));
    else
      shape.push_back(lm::Dim(b.getStringAttr(dim)));
  }
  return lm::tensorType(shape, element);
}

/// Index of the cache that a result continues, or -1.
int64_t updatedCache(func::FuncOp function, unsigned result) {
  Value value = function.getBody().front().getTerminator()->getOperand(result);
  auto append = value.getDefiningOp<lm::CacheAppendOp>();
  auto cache = append ? dyn_cast<BlockArgument>(append.getCache()) : BlockArgument();
  return cache ? static_cast<int64_t>(cache.getArgNumber()) : -1;
}

/// What the memory plan asks for: a name and a role on every argument and result. Returns the
/// results' names.
std::vector<std::string> nameInterface(func::FuncOp function) {
  Builder b(function.getContext());
  std::vector<std::string> names;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    function.setArgAttr(i, kName, b.getStringAttr("a" + std::to_string(i)));
    function.setArgAttr(i, kRole, b.getStringAttr("input"));
  }
  for (unsigned i = 0; i < function.getNumResults(); ++i) {
    if (int64_t cache = updatedCache(function, i); cache >= 0) {
      function.setArgAttr(cache, kRole, b.getStringAttr("cache"));
      function.setResultAttr(i, kUpdates, b.getI64IntegerAttr(cache));
      names.push_back("a" + std::to_string(cache));
      continue;
    }
    names.push_back("y" + std::to_string(i));
    function.setResultAttr(i, kName, b.getStringAttr(names.back()));
    function.setResultAttr(i, kRole, b.getStringAttr("output"));
  }
  return names;
}

void store(Session &session, const std::string &name, const lm::Tensor &tensor) {
  const auto &message = session.executable().message();
  auto type = message.tensors(session.executable().findTensor(name)).dtype();
  if (type == executable::F32) {
    std::ranges::copy(tensor.data, session.f32(name).begin());
  } else if (type == executable::I32) {
    std::ranges::copy(tensor.data, session.i32(name).begin());
  } else if (type == executable::U8) {
    for (size_t i = 0; i < tensor.data.size(); ++i)
      session.bytes(name)[i] = std::byte(static_cast<int>(tensor.data[i]));
  } else {
    ASSERT_EQ(type, executable::BOOL);
    for (size_t i = 0; i < tensor.data.size(); ++i)
      session.bytes(name)[i] = std::byte(tensor.data[i] != 0);
  }
}

/// The first `count` elements of an output.
std::vector<double> loadOutput(Session &session, const std::string &name, size_t count) {
  std::vector<double> data(count);
  const auto &message = session.executable().message();
  auto type = message.tensors(session.executable().findTensor(name)).dtype();
  for (size_t i = 0; i < count; ++i)
    data[i] = type == executable::F32   ? session.f32(name)[i]
              : type == executable::I32 ? session.i32(name)[i]
              : type == executable::U8  ? static_cast<int8_t>(session.bytes(name)[i])
                                        : static_cast<double>(session.bytes(name)[i]);
  return data;
}

/// A result that no kernel writes must not look right by chance.
void poison(Session &session, const std::string &name) {
  std::ranges::fill(session.bytes(name), std::byte(0xff));
}

void compare(const std::vector<double> &got, const lm::Tensor &expected, double tolerance,
             const std::string &what) {
  double largest = expected.rank() == 0 ? 1 : 0.01; // of a sum's terms; of a gradient that cancels
  for (double value : expected.data)
    if (std::isfinite(value))
      largest = std::max(largest, std::abs(value));
  for (size_t i = 0; i < got.size(); ++i) {
    double a = got[i], b = expected.data[i];
    ASSERT_TRUE(a == b || (std::isnan(a) && std::isnan(b)) ||
                std::abs(a - b) <= tolerance * std::max(std::abs(b), largest))
        << what << ", element " << i << ": got " << a << ", expected " << b;
  }
}

} // namespace

OwningOpRef<ModuleOp> buildModule(Context &context, const FamilyCase &family, bool gradients) {
  OpBuilder builder(&context.context);
  Location loc = builder.getUnknownLoc();
  OwningOpRef<ModuleOp> module = ModuleOp::create(loc);
  builder.setInsertionPointToStart(module->getBody());
  SmallVector<Type> types;
  for (const ArgumentSpec &spec : family.arguments)
    types.push_back(typeOf(context.context, spec));
  auto function = builder.create<func::FuncOp>(loc, "f", builder.getFunctionType(types, {}));
  if (!family.ranges.empty()) {
    SmallVector<NamedAttribute> ranges;
    for (auto &[name, range] : family.ranges)
      ranges.push_back(
          builder.getNamedAttr(name, builder.getDenseI64ArrayAttr({range.first, range.second})));
    function->setAttr("lm.ranges", builder.getDictionaryAttr(ranges));
  }
  Block *body = function.addEntryBlock();
  builder.setInsertionPointToStart(body);
  lm::GraphBuilder g(builder, loc);
  SmallVector<Value> arguments(body->getArguments());
  std::vector<Value> results = family.build(g, arguments);
  builder.create<func::ReturnOp>(loc, results);
  SmallVector<Type> resultTypes;
  for (Value result : results)
    resultTypes.push_back(result.getType());
  function.setType(builder.getFunctionType(body->getArgumentTypes(), resultTypes));
  EXPECT_TRUE(succeeded(verify(*module))) << context.errors;
  if (gradients) {
    SmallVector<unsigned> parameters;
    for (auto [i, spec] : llvm::enumerate(family.arguments))
      if (spec.element == "f32")
        parameters.push_back(i);
    differentiate(context, *module, parameters);
  }
  return module;
}

void differentiate(Context &context, ModuleOp module, ArrayRef<unsigned> parameters) {
  func::FuncOp function = functionOf(module);
  Operation *terminator = function.getBody().front().getTerminator();
  OpBuilder builder(terminator);
  lm::GraphBuilder g(builder, builder.getUnknownLoc());
  Value y = terminator->getOperand(0);
  // 0.5 + cos(3 i) + cos(4 j) ...: every element counts, differently.
  auto type = cast<RankedTensorType>(y.getType());
  double scale = 1 / std::sqrt(static_cast<double>(type.getNumElements()));
  Value weights = g.full(0.5 * scale, type);
  for (int64_t dim = 0; dim < type.getRank(); ++dim)
    weights = g.add(weights,
                    g.mul(g.cos(g.mul(g.iota(type, dim), 3.0 + static_cast<double>(dim))), scale));
  Value loss = g.sumAll(g.mul(y, weights));
  terminator->setOperands(loss);
  function.setName("loss");
  function.setType(builder.getFunctionType(function.getArgumentTypes(), loss.getType()));
  for (unsigned parameter : parameters) {
    function.setArgAttr(parameter, kRole, builder.getStringAttr("parameter"));
    function.setArgAttr(parameter, kName, builder.getStringAttr("p" + std::to_string(parameter)));
  }
  ASSERT_TRUE(succeeded(verify(module))) << context.errors;
  ASSERT_TRUE(context.run(module, createDifferentiate())) << context.errors;
}

std::vector<lm::Tensor> drawArguments(const FamilyCase &family, const Extents &extents) {
  std::vector<lm::Tensor> arguments;
  for (auto [stream, spec] : llvm::enumerate(family.arguments)) {
    SmallVector<int64_t> shape;
    for (const std::string &dim : spec.dims)
      shape.push_back(extentOf(dim, extents));
    lm::Tensor tensor(shape);
    Philox random(11, stream);
    for (int64_t i = 0; i < tensor.size(); ++i) {
      if (spec.element == "f32")
        tensor.data[i] = static_cast<float>(2 * random.uniform(i) - 1);
      else
        tensor.data[i] = static_cast<double>(random.below(i, spec.below ? spec.below : 2));
    }
    arguments.push_back(std::move(tensor));
  }
  return arguments;
}

void checkKernels(Context &context, ModuleOp module, const std::vector<Extents> &runs,
                  const std::vector<std::vector<lm::Tensor>> &arguments,
                  const CheckOptions &options) {
  func::FuncOp function = functionOf(module);
  std::vector<std::string> outputs = nameInterface(function);
  std::string name = function.getName().str();
  std::vector<SmallVector<lm::Tensor>> expected;
  for (size_t run = 0; run < runs.size(); ++run) {
    OwningOpRef<ModuleOp> bound = module.clone();
    std::vector<std::string> bindings;
    for (auto &[symbol, extent] : runs[run])
      bindings.push_back(symbol + "=" + std::to_string(extent));
    InferShapesOptions shapes;
    shapes.bindings = bindings;
    ASSERT_TRUE(context.run(*bound, createInferShapes(shapes))) << context.errors;
    expected.push_back(evaluated(functionOf(*bound), arguments[run]));
    ASSERT_EQ(expected.back().size(), function.getNumResults());
  }

  OwningOpRef<ModuleOp> plan = module.clone();
  std::shared_ptr<const Executable> code;
  try {
    runPipeline(*plan, {.lossRows = options.lossRows});
    code = buildExecutable(*plan, {.cpu = options.cpu, .jobs = 1, .useCache = false}, {}, nullptr);
  } catch (const Error &error) {
    FAIL() << error.what();
  }
  std::vector<std::vector<std::vector<double>>> first;
  for (int threads : options.threads) {
    Session session(code, {.threads = threads});
    for (size_t run = 0; run < runs.size(); ++run) {
      std::vector<int64_t> dims;
      for (const auto &dim : code->message().dims())
        dims.push_back(runs[run].at(dim.name()));
      for (const std::string &output : outputs)
        poison(session, output);
      for (size_t i = 0; i < arguments[run].size(); ++i)
        store(session, "a" + std::to_string(i), arguments[run][i]);
      session.run(name, dims);
      std::vector<std::vector<double>> got;
      for (size_t i = 0; i < expected[run].size(); ++i)
        got.push_back(loadOutput(session, outputs[i], expected[run][i].data.size()));
      std::string what = options.cpu + ", run " + std::to_string(run) + ", " +
                         std::to_string(threads) + " threads, result ";
      if (threads == options.threads.front()) {
        for (size_t i = 0; i < got.size(); ++i)
          ASSERT_NO_FATAL_FAILURE(
              compare(got[i], expected[run][i], options.tolerance, what + std::to_string(i)));
        first.push_back(std::move(got));
        continue;
      }
      for (size_t i = 0; i < got.size(); ++i)
        ASSERT_EQ(std::memcmp(got[i].data(), first[run][i].data(), got[i].size() * sizeof(double)),
                  0)
            << what << i << ": other bits than with " << options.threads.front() << " threads";
    }
  }
}

void checkFamily(Context &context, const FamilyCase &family, bool gradients,
                 const CheckOptions &options) {
  auto module = buildModule(context, family, gradients);
  if (testing::Test::HasFailure())
    return;
  std::vector<std::vector<lm::Tensor>> arguments;
  for (const Extents &extents : family.runs)
    arguments.push_back(drawArguments(family, extents));
  checkKernels(context, *module, family.runs, arguments, options);
}

void collectOps(ModuleOp module, std::map<std::string, unsigned> &counts) {
  module.walk([&](lm::TensorOp op) { ++counts[op->getName().stripDialect().str()]; });
}

} // namespace lmc::test
