// Why:    the optimizer, clipping and the schedule are graph too: one program is a whole training
//         step, and the plan knows every byte of it.
// Before: func @loss(params, inputs) -> (loss, gradients)
// After:  accumulate = 1:
//           func @train_step(params, inputs, moments, step) -> (loss, grad_norm, lr, params',
//                                                            moments', step')
//         accumulate = A > 1:
//           func @accumulate(params, inputs, sums, loss_sum) -> (loss_sum', sums')
//           func @apply(params, moments, sums, loss_sum, step) -> (loss, grad_norm, lr, params',
//                                                            ..., zeros)
//         Results marked lm.updates take over the buffer of that argument.
// Needs:  differentiated @loss, its gradients seeded with 1 / A. Leaves: composites (adamw,
//         global_norm).
//         Numerics: exact. Where the loss or the norm is not finite, nothing is updated.
//         Steps count from 1; schedules as in train/Schedule.h.
// Order:  after differentiation, before decomposition.
#include "passes/Passes.h"

#include "ir/Dialect.h"
#include "passes/Retype.h"

#include <cmath>

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_OPTIMIZERUPDATE
#include "passes/Passes.h.inc"

namespace {

/// A function under construction: arguments and results with their names, roles and donations.
class Program {
public:
  explicit Program(func::FuncOp function)
      : function(function), builder(function.getBody().front().getTerminator()) {}

  static Program create(ModuleOp module, StringRef name, Location loc) {
    OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
    auto function = builder.create<func::FuncOp>(loc, name, builder.getFunctionType({}, {}));
    builder.setInsertionPointToEnd(function.addEntryBlock());
    builder.create<func::ReturnOp>(loc);
    return Program(function);
  }

  Value argument(Type type, StringRef role, const Twine &name, Location loc) {
    unsigned index = function.getNumArguments();
    auto attributes =
        builder.getDictionaryAttr({builder.getNamedAttr(kName, builder.getStringAttr(name)),
                                   builder.getNamedAttr(kRole, builder.getStringAttr(role))});
    function.insertArgument(index, type, attributes, loc);
    return function.getArgument(index);
  }

  void output(Value value, StringRef name) {
    add(value, {builder.getNamedAttr(kName, builder.getStringAttr(name)),
                builder.getNamedAttr(kRole, builder.getStringAttr("output"))});
  }

  /// `value` is the new content of `argument`'s buffer.
  void update(Value argument, Value value) {
    int64_t index = cast<BlockArgument>(argument).getArgNumber();
    add(value, {builder.getNamedAttr(kUpdates, builder.getI64IntegerAttr(index))});
  }

  /// Puts the results collected so far in place of what the function returned.
  void finish() {
    function.getBody().front().getTerminator()->setOperands(results);
    updateSignature(function);
    SmallVector<DictionaryAttr> dictionaries;
    for (auto &attributes : resultAttributes)
      dictionaries.push_back(builder.getDictionaryAttr(attributes));
    function.setAllResultAttrs(dictionaries);
  }

  func::FuncOp function;
  OpBuilder builder;

private:
  void add(Value value, ArrayRef<NamedAttribute> attributes) {
    results.push_back(value);
    resultAttributes.emplace_back(attributes);
  }
  SmallVector<Value> results;
  SmallVector<SmallVector<NamedAttribute>> resultAttributes;
};

struct Parameter {
  Value value;
  std::string name;
  Value gradient;
};

struct OptimizerUpdate : impl::OptimizerUpdateBase<OptimizerUpdate> {
  using OptimizerUpdateBase::OptimizerUpdateBase;

  void runOnOperation() override {
    auto function = getOperation().lookupSymbol<func::FuncOp>("loss");
    if (!function) {
      getOperation().emitError() << "no differentiated function @loss";
      return signalPassFailure();
    }
    if (accumulate < 1) {
      function.emitError() << "accumulate must be at least 1, got " << accumulate.getValue();
      return signalPassFailure();
    }
    if (!llvm::is_contained({"cosine", "linear", "constant", "wsd"}, schedule)) {
      function.emitError() << "unknown schedule '" << schedule << "'";
      return signalPassFailure();
    }
    Program program(function);
    auto results = llvm::to_vector(function.getBody().front().getTerminator()->getOperands());
    FailureOr<SmallVector<Parameter>> found = parametersOf(function);
    if (failed(found))
      return signalPassFailure();
    const SmallVector<Parameter> &parameters = *found;
    if (accumulate == 1) {
      function.setName("train_step");
      appendUpdate(program, parameters, results.front());
      return program.finish();
    }
    function.setName("accumulate");
    SmallVector<Parameter> applied = appendSums(program, parameters, results.front());
    program.finish();
    appendApply(applied, lm::elementOf(results.front()));
  }

private:
  /// Each parameter with its gradient, in order.
  FailureOr<SmallVector<Parameter>> parametersOf(func::FuncOp function) {
    SmallVector<Value> gradients;
    for (OpOperand &result : function.getBody().front().getTerminator()->getOpOperands()) {
      auto role = function.getResultAttrOfType<StringAttr>(result.getOperandNumber(), kRole);
      if (role && role.getValue() == "gradient")
        gradients.push_back(result.get());
    }
    SmallVector<Parameter> parameters;
    for (BlockArgument argument : function.getArguments())
      if (hasRole(function, argument.getArgNumber(), "parameter")) {
        if (parameters.size() == gradients.size())
          return function.emitError()
                 << "there are more parameters than gradients; differentiate first";
        auto name = function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kName);
        if (!name)
          return function.emitError() << "parameter " << parameters.size() << " has no lm.name";
        parameters.push_back({argument, name.str(), gradients[parameters.size()]});
      }
    if (parameters.empty())
      return function.emitError() << "there are no parameters to train";
    return parameters;
  }

  /// Gradients and loss are added to sums that live between programs.
  SmallVector<Parameter> appendSums(Program &program, ArrayRef<Parameter> parameters, Value loss) {
    Location loc = optimizer(program).loc;
    SmallVector<Value> sums;
    for (const Parameter &p : parameters)
      sums.push_back(
          program.argument(p.value.getType(), "gradient", "grad." + p.name, p.value.getLoc()));
    Value lossSum = program.argument(loss.getType(), "state", "loss_sum", loc);
    // Each sum right behind what it adds: fused with it, a gradient is never stored, and what it is
    // made of dies early.
    OpBuilder builder(loss.getContext());
    auto addTo = [&](Value sum, Value value, Location loc, double factor) {
      builder.setInsertionPointAfterValue(value);
      lm::GraphBuilder g(builder, loc);
      program.update(sum, g.add(sum, factor == 1 ? value : g.mul(value, factor)));
    };
    // First, as the loss is elsewhere: lm-recompute finds the forward pass by it.
    addTo(lossSum, loss, loc, 1.0 / static_cast<double>(accumulate));
    for (auto [p, sum] : llvm::zip_equal(parameters, sums))
      addTo(sum, p.gradient, p.value.getLoc(), 1);
    return SmallVector<Parameter>(parameters);
  }

  void appendApply(ArrayRef<Parameter> parameters, Type element) {
    Program program = Program::create(getOperation(), "apply", getOperation().getLoc());
    SmallVector<Parameter> own;
    for (const Parameter &p : parameters) {
      Location loc = p.value.getLoc();
      Value value = program.argument(p.value.getType(), "parameter", p.name, loc);
      Value sum = program.argument(p.value.getType(), "gradient", "grad." + p.name, loc);
      own.push_back({value, p.name, sum});
    }
    Location loc = optimizer(program).loc;
    Value lossSum = program.argument(lm::tensorType({}, element), "state", "loss_sum", loc);
    appendUpdate(program, own, lossSum);
    for (const Parameter &p : own)
      program.update(p.gradient, optimizer(program).full(0, p.gradient.getType()));
    program.update(lossSum, optimizer(program).full(0, lossSum.getType()));
    program.finish();
  }

  void appendUpdate(Program &program, ArrayRef<Parameter> parameters, Value loss) {
    lm::GraphBuilder g = optimizer(program);
    Type element = lm::elementOf(loss);
    SmallVector<Value> gradients;
    for (const Parameter &p : parameters)
      gradients.push_back(p.gradient);
    Value norm =
        g.at("optimizer.grad_norm")
            .b.create<lm::GlobalNormOp>(g.at("optimizer.grad_norm").loc, ValueRange(gradients));

    Value stepBefore =
        program.argument(lm::tensorType({}, g.b.getI32Type()), "state", "step", g.loc);
    Value step = g.add(stepBefore, g.scalar(1, g.b.getI32Type()));
    Value s = g.convert(step, element);
    Value lr = learningRate(g.at("optimizer.schedule"), s, element);
    // min(1, clip / (norm + 1e-6))
    Value one = g.scalar(1, element);
    Value scale =
        gradClip > 0 ? g.minimum(one, g.div(g.scalar(gradClip, element), g.add(norm, 1e-6))) : one;
    auto correction = [&](double beta) { return g.neg(g.expm1(g.mul(s, std::log(beta)))); };
    Value c1 = correction(beta1), c2 = correction(beta2);
    Value apply = g.isFinite(g.add(norm, loss));

    program.output(loss, "loss");
    program.output(norm, "grad_norm");
    program.output(lr, "lr");
    for (const Parameter &p : parameters) {
      Type type = p.value.getType();
      Location loc = NameLoc::get(g.b.getStringAttr(p.name + ".adamw"));
      Value m = program.argument(type, "moment", "adamw.m." + p.name, loc);
      Value v = program.argument(type, "moment", "adamw.v." + p.name, loc);
      double decay = lm::shapeOf(type).size() >= 2 ? weightDecay.getValue() : 0.0;
      auto number = [&](double value) { return g.b.getF64FloatAttr(value); };
      auto next = program.builder.create<lm::AdamWOp>(loc, p.value, p.gradient, m, v, lr, scale, c1,
                                                      c2, apply, number(beta1), number(beta2),
                                                      number(eps), number(decay));
      program.update(p.value, next.getNewParam());
      program.update(m, next.getNewM());
      program.update(v, next.getNewV());
    }
    program.update(stepBefore, g.select(apply, step, stepBefore));
  }

  /// The rate of step s (a float counting from 1); formulas in train/Schedule.h.
  Value learningRate(lm::GraphBuilder g, Value s, Type element) {
    auto number = [&](double value) { return g.scalar(value, element); };
    Value rate = number(lr);
    double warmup = static_cast<double>(warmupSteps), total = static_cast<double>(steps);
    // 0 at `from`, 1 at `from + length` and after.
    auto progress = [&](double from, double length) {
      Value x = g.mul(g.sub(s, number(from)), 1 / std::max(1.0, length));
      return g.minimum(number(1), g.maximum(number(0), x));
    };
    if (schedule == "cosine") {
      Value wave = g.add(g.cos(g.mul(progress(warmup, total - warmup), M_PI)), 1.0);
      rate = g.add(g.mul(wave, 0.5 * (lr - minLr)), minLr);
    } else if (schedule == "linear") {
      rate = g.add(g.mul(progress(warmup, total - warmup), minLr - lr), lr);
    } else if (schedule == "wsd") {
      double decay =
          decaySteps > 0 ? static_cast<double>(decaySteps) : std::max(1.0, std::floor(total / 5));
      double stable = std::max(warmup, total - decay); // the last step at the full rate
      rate = g.add(g.mul(progress(stable, total - stable), minLr - lr), lr);
    }
    if (warmupSteps > 0)
      rate = g.select(g.compare("le", s, number(warmup)), g.mul(s, lr / warmup), rate);
    return rate;
  }

  lm::GraphBuilder optimizer(Program &program) {
    auto loc = NameLoc::get(StringAttr::get(&getContext(), "optimizer"));
    return lm::GraphBuilder(program.builder, loc);
  }
};

} // namespace
} // namespace lmc
