#include "codegen/cuda/Expression.h"

#include "codegen/cuda/ScalarPrinter.h"
#include "runtime/Error.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

#include <algorithm>
#include <limits>

using namespace mlir;

namespace lmc::cuda {
namespace {

std::optional<int64_t> numberOf(const std::string &text) {
  int64_t number;
  if (StringRef(text).getAsInteger(10, number))
    return std::nullopt;
  return number;
}

std::string keyOf(Value value, const Index &index) {
  std::string key = fmt::format("{}@", value.getAsOpaquePointer());
  for (const std::string &at : index.at)
    key += at + ",";
  return key;
}

std::string everywhere(Value value) { return fmt::format("{}@*", value.getAsOpaquePointer()); }

} // namespace

static std::string lowestOf(Type element) {
  if (isa<FloatType>(element))
    return literal(element, -std::numeric_limits<double>::infinity());
  return literal(element, APInt::getSignedMinValue(element.getIntOrFloatBitWidth()));
}

static std::string neutralOf(lm::ReduceOp op) {
  Type element = lm::elementOf(op.getX());
  return op.getKind() == "sum" ? literal(element, 0.0) : lowestOf(element);
}

Reduction::Reduction(lm::ReduceOp op)
    : op(op), type(computeType(lm::elementOf(op.getX()))), neutral(neutralOf(op)),
      combiner(op.getKind() == "sum" ? "lmc::Sum" : "lmc::Max") {}

void Reduction::start(Expression &x) {
  sum = x.fresh();
  x.line(fmt::format("{} {} = {};", type, sum, neutral));
}

void Reduction::combine(Expression &x, const Index &index) {
  x.line(fmt::format("{0} = {1}::combine({0}, {2});", sum, combiner, x.evaluate(op.getX(), index)));
}

Expression::Expression(Block &body, const Ranges &ranges, StringRef name, StringRef architecture)
    : body(body), hasWarpgroups(architecture == "sm_90a"), ranges(ranges), kernelName(name.str()) {
  int64_t largest = 0;
  auto visit = [&](Type type) {
    lm::Shape shape = lm::shapeOf(type);
    largest = std::max(largest, product(shape).max);
    for (const lm::Dim &dim : shape)
      if (!dim.isStatic() && !llvm::is_contained(symbols, dim.symbol.str()))
        symbols.push_back(dim.symbol.str());
  };
  for (BlockArgument argument : body.getArguments())
    visit(argument.getType());
  for (Operation &op : body)
    llvm::for_each(op.getResultTypes(), visit);
  body.walk([&](lm::SkewOp op) { // places that may lie outside
    lm::Shape y = lm::shapeOf(op.getY());
    auto distance = [&](unsigned dim, int64_t step) {
      return product(y[dim]).max * std::abs(step);
    };
    largest = std::max(largest, distance(op.getDim(), op.getStep()) +
                                    distance(op.getBy(), op.getSlope()) +
                                    std::abs(static_cast<int64_t>(op.getStart())));
  });
  for (const std::string &symbol : symbols)
    if (!llvm::all_of(symbol, [](char c) { return llvm::isAlnum(c) || c == '_'; }))
      fail("the dimension '{}' becomes a kernel's parameter; name it with letters, digits and '_'",
           symbol);
  // Room for the last block, which runs over.
  indexType = largest < (int64_t(1) << 30) ? "int" : "long long";
}

// --- text

void Expression::line(const std::string &text) {
  statements += std::string(2 * indent, ' ') + text + "\n";
}

void Expression::braces(const std::string &head, llvm::function_ref<void()> inside,
                        const std::string &end) {
  line(head + " {");
  ++indent;
  size_t size = undo.size();
  inside();
  while (undo.size() > size) {
    auto &[key, before] = undo.back();
    if (before)
      known[key] = *before;
    else
      known.erase(key);
    undo.pop_back();
  }
  --indent;
  line(end);
}

void Expression::remember(const std::string &key, const std::string &name) {
  auto at = known.find(key);
  undo.emplace_back(key, at == known.end() ? std::nullopt : std::optional(at->second));
  known[key] = name;
}

std::string Expression::name(const std::string &type, const std::string &expression) {
  std::string key = type + " " + expression;
  if (auto at = known.find(key); at != known.end())
    return at->second;
  std::string name = fresh();
  line(fmt::format("const {} {} = {};", type, name, expression));
  remember(key, name);
  return name;
}

// --- index arithmetic

std::string Expression::add(const std::string &a, const std::string &b) {
  auto x = numberOf(a), y = numberOf(b);
  if (x && y)
    return std::to_string(*x + *y);
  if (x == 0)
    return b;
  if (y == 0)
    return a;
  if (y && *y < 0)
    return name("index_t", fmt::format("{} - {}", a, -*y));
  return name("index_t", fmt::format("{} + {}", a, b));
}

std::string Expression::mul(const std::string &a, const std::string &b) {
  auto x = numberOf(a), y = numberOf(b);
  if (x && y)
    return std::to_string(*x * *y);
  if (x == 0 || y == 0)
    return "0";
  if (x == 1)
    return b;
  if (y == 1)
    return a;
  return name("index_t", fmt::format("{} * {}", a, b));
}

std::string Expression::div(const std::string &a, const std::string &b) {
  return numberOf(b) == 1 ? a : name("index_t", fmt::format("{} / {}", a, b));
}

std::string Expression::rem(const std::string &a, const std::string &b) {
  return numberOf(b) == 1 ? "0" : name("index_t", fmt::format("{} % {}", a, b));
}

Extent Expression::product(ArrayRef<lm::Dim> shape) const {
  Extent result;
  for (const lm::Dim &dim : shape) {
    if (dim.isStatic()) {
      result.factor *= dim.size;
      result.max *= dim.size;
      continue;
    }
    auto range = ranges.find(dim.symbol.getValue());
    if (range == ranges.end())
      fail("the dimension '{}' has no declared range", dim.symbol.str());
    result.symbols.push_back(dim.symbol.str());
    result.max *= range->second;
  }
  return result;
}

std::string Expression::dim(const std::string &symbol) {
  if (!llvm::is_contained(used, symbol))
    used.push_back(symbol);
  return "dim_" + symbol;
}

std::string Expression::text(const Extent &extent) {
  std::string result = std::to_string(extent.factor);
  for (const std::string &symbol : extent.symbols)
    result = mul(result, dim(symbol));
  return result;
}

std::string Expression::offset(ArrayRef<lm::Dim> shape, const Index &index) {
  std::string at = "0";
  for (size_t i = 0; i < shape.size(); ++i)
    if (index.at[i] != "0")
      at = add(at, mul(index.at[i], text(product(shape.drop_front(i + 1)))));
  return at;
}

SmallVector<std::string, 4> Expression::unflatten(const std::string &flat,
                                                  ArrayRef<lm::Dim> shape) {
  SmallVector<std::string, 4> at(shape.size(), "0");
  std::string rest = flat;
  // The outermost dimension that is longer than 1 takes what is left: no remainder there.
  size_t outer = 0;
  while (outer + 1 < shape.size() && product(shape[outer]).is(1))
    ++outer;
  for (size_t i = shape.size(); i-- > outer;) {
    if (i == outer) {
      at[i] = product(shape[i]).is(1) ? "0" : rest;
      break;
    }
    std::string extent = text(product(shape[i]));
    at[i] = rem(rest, extent);
    rest = div(rest, extent);
  }
  return at;
}

// --- values

std::string Expression::loaded(Type element, const std::string &stored) {
  if (element.isBF16())
    return fmt::format("lmc::widen({})", stored);
  if (element.isInteger(1))
    return fmt::format("{} != 0", stored);
  return stored;
}

std::string Expression::stored(Type element, const std::string &computed) {
  return element.isBF16() ? fmt::format("lmc::narrow({})", computed) : computed;
}

void Expression::define(Value value, std::string name) { remember(everywhere(value), name); }

std::string Expression::evaluate(Value value, const Index &index) {
  if (auto at = known.find(everywhere(value)); at != known.end())
    return at->second;
  std::string key = keyOf(value, index);
  if (auto at = known.find(key); at != known.end())
    return at->second;
  std::string name = compute(value, index);
  remember(key, name);
  return name;
}

std::optional<Index> Expression::viewIndex(Operation *op, const Index &index) {
  return lmc::viewIndex(
      op, index, [] { return "0"; },
      [&](const std::string &at, int64_t more) { return add(at, std::to_string(more)); });
}

std::string Expression::compute(Value value, const Index &index) {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return load(input(argument.getArgNumber()), cast<RankedTensorType>(value.getType()), index);
  Operation *op = value.getDefiningOp();
  if (std::optional<Index> inner = viewIndex(op, index))
    return evaluate(op->getOperand(0), *inner);
  return llvm::TypeSwitch<Operation *, std::string>(op)
      .Case([&](lm::ConstantOp o) { return constant(o, index); })
      .Case([&](lm::IotaOp o) { return iota(o, index); })
      .Case([&](lm::ConcatOp o) { return concat(o, index); })
      .Case([&](lm::GatherOp o) { return gather(o, index); })
      .Case([&](lm::SkewOp o) { return skew(o, index); })
      .Case([&](lm::ReduceOp o) { return innerReduce(o, index); })
      .Default([&](Operation *o) { return pointwise(o, index); });
}

std::string Expression::load(const std::string &pointer, RankedTensorType type,
                             const Index &index) {
  std::string at = fmt::format("{}[{}]", pointer, offset(lm::shapeOf(type), index));
  Type element = type.getElementType();
  return name(computeType(element), loaded(element, at));
}

std::string Expression::constant(lm::ConstantOp op, const Index &index) {
  auto values = cast<DenseElementsAttr>(op.getValue());
  Type element = values.getElementType();
  auto spell = [&](const auto &number) {
    if constexpr (std::is_same_v<std::decay_t<decltype(number)>, APInt>) {
      return literal(element, number);
    } else {
      APFloat wide = number;
      bool loses;
      wide.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &loses);
      return literal(element, wide.convertToDouble());
    }
  };
  bool isFloat = isa<FloatType>(element);
  if (values.isSplat())
    return isFloat ? spell(values.getSplatValue<APFloat>()) : spell(values.getSplatValue<APInt>());
  std::string table = everywhere(op.getY()) + "table";
  auto at = known.find(table);
  if (at == known.end()) {
    std::string name = fmt::format("{}_table{}", kernelName, nextTable++), numbers;
    auto append = [&](const auto &number) {
      numbers += (numbers.empty() ? "" : ", ") + spell(number);
    };
    if (isFloat)
      llvm::for_each(values.getValues<APFloat>(), append);
    else
      llvm::for_each(values.getValues<APInt>(), append);
    tables += fmt::format("static __device__ const {} {}[{}] = {{{}}};\n", computeType(element),
                          name, values.getNumElements(), numbers);
    at = known.emplace(table, name).first; // outlives every scope
  }
  std::string place = offset(lm::shapeOf(op.getY()), index);
  return name(computeType(element), fmt::format("{}[{}]", at->second, place));
}

std::string Expression::iota(lm::IotaOp op, const Index &index) {
  Type element = lm::elementOf(op.getY());
  const std::string &at = index.at[op.getDim()];
  // Counted in integers, converted at the end: exact as long as the element type is.
  return name(computeType(element), fmt::format("static_cast<{}>({})", computeType(element), at));
}

std::string Expression::pointwise(Operation *op, const Index &index) {
  auto rules = dyn_cast<lm::PointwiseOp>(op);
  assert(rules && "fusion put an op into a kernel that no family computes here");
  llvm::DenseMap<Value, std::string> names;
  Block form;
  OpBuilder builder(op->getContext());
  builder.setInsertionPointToEnd(&form);
  for (Value operand : op->getOperands())
    names[form.addArgument(computedAs(lm::elementOf(operand)), op->getLoc())] =
        evaluate(operand, index);
  Value result = rules.scalarForm(builder, op->getLoc(), ValueRange(form.getArguments()),
                                  computedAs(lm::elementOf(op->getResult(0))));
  for (Operation &step : form) {
    SmallVector<std::string> operands;
    for (Value operand : step.getOperands())
      operands.push_back(names.at(operand));
    std::string text = printScalar(&step, operands);
    Value made = step.getResult(0);
    names[made] =
        step.hasTrait<OpTrait::ConstantLike>() ? text : name(computeType(made.getType()), text);
  }
  Type element = lm::elementOf(op->getResult(0));
  auto convert = dyn_cast<lm::ConvertOp>(op);
  if (convert && convert.roundsFloats() && element.isBF16()) // whether or not it is stored
    return name(computeType(element), fmt::format("lmc::widen(lmc::narrow({}))", names.at(result)));
  return names.at(result);
}

std::string Expression::concat(lm::ConcatOp op, const Index &index) {
  auto dim = static_cast<int>(op.getDim());
  std::string result = fresh();
  line(fmt::format("{} {};", computeType(lm::elementOf(op.getY())), result));
  int64_t start = 0;
  for (auto [i, x] : llvm::enumerate(op.getXs())) {
    int64_t end = start + lm::shapeOf(x)[dim].size;
    bool last = i + 1 == op.getXs().size();
    std::string condition =
        last ? std::string("else")
             : fmt::format("{}if ({} < {})", i ? "else " : "", index.at[dim], end);
    braces(condition, [&, x = x] {
      Index inner = index;
      inner.at[dim] = add(index.at[dim], std::to_string(-start));
      line(fmt::format("{} = {};", result, evaluate(x, inner)));
    });
    start = end;
  }
  return result;
}

std::string Expression::gather(lm::GatherOp op, const Index &index) {
  auto last = static_cast<int>(index.at.size()) - 1;
  Index ids = index;
  ids.at.pop_back();
  ids.lane = -1;
  Index row;
  row.at = {name("index_t", fmt::format("static_cast<index_t>({})", evaluate(op.getIds(), ids))),
            index.at[last]};
  row.lane = index.lane == last ? 1 : -1;
  return evaluate(op.getTable(), row);
}

std::string Expression::skew(lm::SkewOp op, const Index &index) {
  unsigned dim = op.getDim();
  auto number = [](int64_t value) { return std::to_string(value); };
  std::string place = add(add(mul(index.at[dim], number(op.getStep())),
                              mul(index.at[op.getBy()], number(op.getSlope()))),
                          number(op.getStart()));
  Index inner = index;
  if (op.staysInside()) {
    inner.at[dim] = place;
    return evaluate(op.getX(), inner);
  }
  std::string every = number(op.getEvery()), extent = text(product(lm::shapeOf(op.getX())[dim]));
  Type element = lm::elementOf(op.getY());
  std::string result = fresh(), at = div(place, every);
  line(fmt::format("{} {} = {};", computeType(element), result,
                   op.isLowestOutside() ? lowestOf(element) : literal(element, 0.0)));
  std::string whole = every == "1" ? "" : fmt::format(" && {} % {} == 0", place, every);
  braces(fmt::format("if ({} >= 0{} && {} < {})", place, whole, at, extent), [&] {
    inner.at[dim] = at;
    line(fmt::format("{} = {};", result, evaluate(op.getX(), inner)));
  });
  return result;
}

std::string Expression::innerReduce(lm::ReduceOp op, const Index &index) {
  lm::Shape shape = lm::shapeOf(op.getX());
  Index inner;
  for (int64_t dim = 0, kept = 0; dim < static_cast<int64_t>(shape.size()); ++dim)
    inner.at.push_back(llvm::is_contained(op.getDims(), dim) ? fresh() : index.at[kept++]);
  Reduction reduction(op);
  reduction.start(*this);
  std::function<void(ArrayRef<int64_t>)> loop = [&](ArrayRef<int64_t> dims) {
    if (dims.empty())
      return reduction.combine(*this, inner);
    braces(fmt::format("for (index_t {0} = 0; {0} < {1}; ++{0})", inner.at[dims.front()],
                       shape[dims.front()].size),
           [&] { loop(dims.drop_front()); });
  };
  loop(op.getDims());
  return reduction.sum;
}

void Expression::hoistUniform(Value value, const Index &index) {
  forEachUniform(
      value, index, [&](Value v, const Index &) { return known.count(everywhere(v)) != 0; },
      [&](Operation *op, const Index &at) { return viewIndex(op, at); },
      [&](Value v, const Index &at) { evaluate(v, at); });
}

void Expression::store(unsigned number, const std::string &element, const Index &index) {
  auto type = cast<RankedTensorType>(outputValue(number).getType());
  line(fmt::format("{}[{}] = {};", output(number), offset(lm::shapeOf(type), index),
                   stored(type.getElementType(), element)));
}

std::string Expression::tensorMap(TensorMap map) {
  maps.push_back(std::move(map));
  return fmt::format("map{}", maps.size() - 1);
}

std::string Expression::scope() const {
  std::string dims;
  for (const std::string &symbol : symbols)
    if (llvm::is_contained(used, symbol))
      dims += fmt::format("  const index_t dim_{0} = static_cast<index_t>(extent_{0});\n", symbol);
  return fmt::format("  using index_t = {};\n{}{}", indexType, dims, statements);
}

Kernel Expression::finish(StringRef comment, std::vector<GridFactor> grid, unsigned block,
                          unsigned minBlocks) {
  Kernel kernel;
  kernel.name = kernelName;
  kernel.symbols = symbols;
  kernel.maps = maps;
  kernel.grid = std::move(grid);
  kernel.block = block;
  std::vector<std::string> parameters;
  for (BlockArgument argument : body.getArguments())
    parameters.push_back(fmt::format("const {} *{}", storageType(lm::elementOf(argument)),
                                     input(argument.getArgNumber())));
  for (unsigned i = 0; i < numOutputs(); ++i)
    parameters.push_back(
        fmt::format("{} *{}", storageType(lm::elementOf(outputValue(i))), output(i)));
  for (const std::string &symbol : symbols)
    parameters.push_back(fmt::format("const long long extent_{}", symbol));
  for (size_t i = 0; i < maps.size(); ++i)
    parameters.push_back(fmt::format("const __grid_constant__ lmc::TensorMap map{}", i));
  std::string bounds = std::to_string(block);
  if (minBlocks)
    bounds += fmt::format(", {}", minBlocks);
  kernel.text =
      fmt::format("// {}\n{}extern \"C\" __global__ void __launch_bounds__({})\n{}({}) {{\n{}}}\n",
                  comment.str(), tables, bounds, kernelName, llvm::join(parameters, ", "), scope());
  return kernel;
}

} // namespace lmc::cuda
