#include "ir/Segments.h"

#include "ir/Dialect.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace lmc {

Segments::Segments(DenseI64ArrayAttr attribute) {
  if (!attribute)
    return;
  ArrayRef<int64_t> numbers = attribute.asArrayRef();
  for (size_t i = 0; i + 3 < numbers.size(); i += 4)
    bodies.push_back({numbers[i], numbers[i + 1], numbers[i + 2], numbers[i + 3]});
}

DenseI64ArrayAttr Segments::attribute(MLIRContext *context, ArrayRef<Body> bodies) {
  SmallVector<int64_t> numbers;
  for (const Body &body : bodies)
    numbers.append({body.segments, body.shared, body.inputs, body.outputs});
  return DenseI64ArrayAttr::get(context, numbers);
}

int Segments::ofInput(unsigned input) const {
  int64_t at = input, before = 0;
  for (const Body &body : bodies) {
    if (at < body.shared)
      return kShared;
    at -= body.shared;
    if (at < body.segments * body.inputs)
      return static_cast<int>(before + at / body.inputs);
    at -= body.segments * body.inputs;
    before += body.segments;
  }
  return 0;
}

int Segments::ofOutput(unsigned output) const {
  int64_t at = output, before = 0;
  for (const Body &body : bodies) {
    if (at < body.segments * body.outputs)
      return static_cast<int>(before + at / body.outputs);
    at -= body.segments * body.outputs;
    before += body.segments;
  }
  return 0;
}

int64_t Segments::count() const {
  int64_t count = 0;
  for (const Body &body : bodies)
    count += body.segments;
  return count;
}

int64_t Segments::numInputs() const {
  int64_t count = 0;
  for (const Body &body : bodies)
    count += body.shared + body.segments * body.inputs;
  return count;
}

int64_t Segments::numOutputs() const {
  int64_t count = 0;
  for (const Body &body : bodies)
    count += body.segments * body.outputs;
  return count;
}

namespace {

/// Copies ops over a space to one of symbols.
class Copier {
public:
  Copier(StringRef family, ArrayRef<BlockArgument> arguments, ArrayRef<Value> results)
      : isRow(family == "row"), arguments(arguments), results(results),
        context(results.front().getContext()) {}

  std::optional<WithoutExtents> run() {
    if (!findSpace() || !collect())
      return std::nullopt;
    WithoutExtents made{std::make_unique<Block>(), "", 1, 1};
    for (const lm::Dim &dim : space)
      made.columns *= dim.size;
    if (isRow) {
      made.rows = made.columns / space.back().size;
      made.columns = space.back().size;
    }
    for (BlockArgument argument : arguments)
      mapping.map(argument, made.body->addArgument(typeOf(argument), argument.getLoc()));
    builder.setInsertionPointToEnd(made.body.get());
    for (Operation *op : ops)
      copy(op);
    SmallVector<Value> yielded;
    for (Value result : results)
      yielded.push_back(mapping.lookup(result));
    builder.create<lm::YieldOp>(results.front().getLoc(), yielded);
    made.text = textOf(*made.body);
    return made;
  }

private:
  bool findSpace() {
    if (isRow) {
      reduction = results.front().getDefiningOp<lm::ReduceOp>();
      if (!reduction || results.size() != 1)
        return false;
    }
    space = lm::shapeOf(reduction ? reduction.getX() : results.front());
    if (space.empty() ||
        !llvm::all_of(space, [](const lm::Dim &dim) { return dim.isStatic() && dim.size > 0; }))
      return false;
    if (reduction &&
        reduction.getDims() != ArrayRef<int64_t>(static_cast<int64_t>(space.size()) - 1))
      return false;
    return llvm::all_of(arguments, [&](Value argument) { return isFlat(argument); }) &&
           (isRow ||
            llvm::all_of(results, [&](Value result) { return lm::shapeOf(result) == space; }));
  }

  bool isFlat(Value value) const {
    lm::Shape shape = lm::shapeOf(value);
    return shape.empty() || shape == space;
  }

  /// What the results are made of, in order. False: something is not read where it is written.
  bool collect() {
    llvm::SmallDenseSet<Operation *> found;
    SmallVector<Value> work(results);
    while (!work.empty()) {
      Value value = work.pop_back_val();
      Operation *op = value.getDefiningOp();
      if (!op) {
        if (!llvm::is_contained(arguments, value))
          return false;
        continue;
      }
      if (!found.insert(op).second)
        continue;
      auto constant = dyn_cast<lm::ConstantOp>(op);
      bool inPlace = op == reduction || isa<lm::PointwiseOp>(op) ||
                     (constant && constant.getValue().isSplat()) ||
                     (isa<lm::BroadcastOp>(op) && lm::shapeOf(op->getOperand(0)).empty());
      bool readsReduction = llvm::any_of(op->getOperands(), [&](Value operand) {
        return reduction && operand == reduction.getY();
      });
      if (!inPlace || readsReduction || (op != reduction && !isFlat(op->getResult(0))))
        return false;
      llvm::append_range(work, op->getOperands());
    }
    ops.assign(found.begin(), found.end());
    llvm::sort(ops, [](Operation *a, Operation *b) { return a->isBeforeInBlock(b); });
    return true;
  }

  RankedTensorType typeOf(Value value) {
    auto symbol = [&](StringRef name) { return lm::Dim(StringAttr::get(context, name)); };
    Type element = lm::elementOf(value);
    if (reduction && value == reduction.getY())
      return lm::tensorType({symbol("rows")}, element);
    if (lm::shapeOf(value).empty())
      return lm::tensorType({}, element);
    if (isRow)
      return lm::tensorType({symbol("rows"), symbol("columns")}, element);
    return lm::tensorType({symbol("n")}, element);
  }

  void copy(Operation *op) {
    Value result = op->getResult(0);
    auto constant = dyn_cast<lm::ConstantOp>(op);
    if (constant && !lm::shapeOf(result).empty()) { // one number, and a broadcast of it
      auto values = cast<DenseElementsAttr>(constant.getValue());
      auto scalar = lm::tensorType({}, values.getElementType());
      auto number = builder.create<lm::ConstantOp>(
          op->getLoc(), DenseElementsAttr::get(scalar, values.getSplatValue<Attribute>()));
      mapping.map(
          result,
          builder.create<lm::BroadcastOp>(op->getLoc(), typeOf(result), number, ArrayRef<int64_t>{})
              .getResult());
      return;
    }
    Operation *made = builder.clone(*op, mapping);
    made->getResult(0).setType(typeOf(result));
    if (auto reduce = dyn_cast<lm::ReduceOp>(made))
      reduce.setDims({1});
  }

  /// Without places, operands by number.
  static std::string textOf(Block &body) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    llvm::DenseMap<Value, unsigned> number;
    for (BlockArgument argument : body.getArguments()) {
      number[argument] = number.size();
      stream << argument.getType() << " ";
    }
    for (Operation &op : body) {
      stream << "\n" << op.getName() << " " << op.getAttrDictionary();
      for (Value operand : op.getOperands())
        stream << " " << number.at(operand);
      for (Value result : op.getResults()) {
        number[result] = number.size();
        stream << " " << result.getType();
      }
    }
    return text;
  }

  const bool isRow;
  ArrayRef<BlockArgument> arguments;
  ArrayRef<Value> results;
  MLIRContext *context;
  OpBuilder builder{context};
  lm::ReduceOp reduction = {};
  lm::Shape space;
  SmallVector<Operation *> ops;
  IRMapping mapping;
};

} // namespace

std::optional<WithoutExtents> withoutExtents(StringRef family, ArrayRef<BlockArgument> arguments,
                                             ArrayRef<Value> results) {
  if ((family != "map" && family != "row") || results.empty())
    return std::nullopt;
  return Copier(family, arguments, results).run();
}

} // namespace lmc
