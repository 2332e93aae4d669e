// Why:    a bf16 activation or weight takes half the memory and half the time to move; sums,
//         statistics, the residual stream, the loss and the optimizer stay in f32.
// Before: %h = lm.matmul %x, %w : (f32, f32) -> f32             %y = lm.add %h, %bias
// After:  %x16 = lm.convert %x   %w16 = lm.convert %w           : f32 -> bf16
//         %h = lm.matmul %x16, %w16 : (bf16, bf16) -> f32       %y = lm.add %h, %bias
//         %y16 = lm.convert %y   and its readers get lm.convert %y16 : bf16 -> f32
// Rules:  - products (convolutions too, but for depthwise ones), attention and its adjoint, and lookups in a parameter read bf16;
//         - so do KV caches; other arguments (norm weights, biases, moments) keep their type;
//         - a product's result, bias added, is rounded where it leads to another product, unless
//           the loss reads it: logits, and the gradients of parameters, stay f32;
//         - sums over a value that a product reads (the gradient of a bias) read the rounded one,
//           so that the f32 value need not be kept;
//         - a parameter that all programs only read rounded becomes a bf16 argument. A training
//           step updates its parameters, so its master copies stay f32: they are rounded where they
//           are read, and serving computes the same numbers from bf16 weights.
// Needs:  lm ops with composites, differentiated and with its optimizer where it trains.
//         Leaves: the same ops. Numerics: rounds as above, to nearest even.
// Order:  after differentiation (adjoints are rounded by the same rules), before decomposition.
#include "passes/Passes.h"

#include "passes/Retype.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringMap.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_ROUNDPRODUCTS
#include "passes/Passes.h.inc"

namespace {

bool isView(Operation *op) {
  return isa_and_nonnull<lm::ReshapeOp, lm::SliceOp, lm::TransposeOp, lm::BroadcastOp, lm::SkewOp>(
      op);
}

bool isProduct(Operation *op) {
  auto convolution = dyn_cast<lm::ConvolutionOp>(op);
  return (convolution && !convolution.isDepthwise()) ||
         isa<lm::MatmulOp, lm::ExpertMatmulOp, lm::ExpertOuterOp>(op);
}

bool readsRounded(Operation *op) {
  return isProduct(op) || isa<lm::AttentionOp, lm::AttentionGradOp>(op);
}

/// Rounds what one function's products read and make.
class Narrower {
public:
  explicit Narrower(func::FuncOp function)
      : function(function), body(function.getBody().front()), builder(function.getContext()),
        f32(builder.getF32Type()), bf16(builder.getBF16Type()) {}

  void run() {
    findLeadingToProducts();
    SmallVector<Operation *> ops;
    for (Operation &op : body.without_terminator())
      ops.push_back(&op);
    for (Operation *op : ops) {
      auto gather = dyn_cast<lm::GatherOp>(op);
      bool looksUp = gather && isa<BlockArgument>(gather.getTable());
      if (looksUp || readsRounded(op))
        narrowOperands(op);
      if (isProduct(op))
        roundResult(op->getResult(0));
      else if (auto append = dyn_cast<lm::CacheAppendOp>(op))
        narrowCache(append);
    }
    sumRounded();
  }

private:
  /// Values from which some product's or attention's operand is computed.
  void findLeadingToProducts() {
    for (Operation &op : llvm::reverse(body)) {
      bool leads = readsRounded(&op) || llvm::any_of(op.getResults(), [&](Value result) {
                     return leadsToProduct.contains(result);
                   });
      if (leads)
        leadsToProduct.insert(op.operand_begin(), op.operand_end());
    }
  }

  /// What the loss reads, through views.
  static bool isLogits(Value value) {
    return llvm::any_of(value.getUsers(), [](Operation *user) {
      return isa<lm::CrossEntropyOp>(user) || (isView(user) && isLogits(user->getResult(0)));
    });
  }

  /// y: a product.
  void roundResult(Value y) {
    if (y.hasOneUse())
      if (auto add = dyn_cast<lm::AddOp>(*y.getUsers().begin())) {
        Value other = add.getLhs() == y ? add.getRhs() : add.getLhs();
        if (other.getDefiningOp<lm::BroadcastOp>())
          y = add.getY(); // the bias
      }
    if (lm::elementOf(y) != f32 || !leadsToProduct.contains(y) || isLogits(y))
      return;
    builder.setInsertionPointAfter(y.getDefiningOp());
    Value narrow = rounded(y);
    Value wide = convert(narrow, f32);
    y.replaceAllUsesExcept(wide, narrow.getDefiningOp());
  }

  void narrowCache(lm::CacheAppendOp append) {
    auto cache = dyn_cast<BlockArgument>(append.getCache());
    if (!cache || lm::elementOf(cache) != f32 || !cache.hasOneUse())
      return;
    retypeCache(append, withElement(cache.getType(), bf16), rounded(append.getUpdate()));
  }

  void narrowOperands(Operation *op) {
    for (OpOperand &operand : op->getOpOperands()) {
      auto attention = dyn_cast<lm::AttentionGradOp>(op);
      bool statistic = attention && operand.get() == attention.getLse();
      if (!statistic && lm::elementOf(operand.get()) == f32)
        operand.set(rounded(operand.get()));
    }
    if (isProduct(op))
      return; // the sums are f32
    builder.setInsertionPointAfter(op);
    for (Value result : op->getResults()) {
      auto attention = dyn_cast<lm::AttentionOp>(op);
      if (lm::elementOf(result) != f32 || (attention && result == attention.getLse()))
        continue;
      result.setType(withElement(result.getType(), bf16));
      Value wide = convert(result, f32);
      result.replaceAllUsesExcept(wide, wide.getDefiningOp());
    }
  }

  /// The value in bf16: views are taken of the rounded value, so that memory holds no other.
  Value rounded(Value value) {
    if (lm::elementOf(value) == bf16)
      return value;
    if (Value known = narrow.lookup(value))
      return known;
    Operation *op = value.getDefiningOp();
    if (auto widening = dyn_cast_or_null<lm::ConvertOp>(op);
        widening && lm::elementOf(widening.getX()) == bf16)
      return widening.getX();
    Value result;
    if (isView(op)) {
      Value source = rounded(op->getOperand(0));
      builder.setInsertionPointAfter(op);
      IRMapping map;
      map.map(op->getOperand(0), source);
      result = builder.clone(*op, map)->getResult(0);
      result.setType(withElement(value.getType(), bf16));
    } else {
      op ? builder.setInsertionPointAfter(op) : builder.setInsertionPointToStart(&body);
      result = convert(value, bf16);
      roots.push_back({value, result});
    }
    narrow[value] = result;
    return result;
  }

  /// Sums over a value that is kept rounded.
  void sumRounded() {
    for (auto [value, rounded] : roots) {
      if (isa<BlockArgument>(value))
        continue;
      SmallVector<lm::ReduceOp> sums;
      for (Operation *user : value.getUsers())
        if (auto sum = dyn_cast<lm::ReduceOp>(user))
          sums.push_back(sum);
      for (lm::ReduceOp sum : sums) {
        builder.setInsertionPoint(sum);
        sum.getXMutable().assign(convert(rounded, f32));
      }
    }
  }

  Value convert(Value value, Type element) {
    return builder.create<lm::ConvertOp>(value.getLoc(), withElement(value.getType(), element),
                                         value);
  }

  func::FuncOp function;
  Block &body;
  OpBuilder builder;
  Type f32, bf16;
  llvm::DenseSet<Value> leadsToProduct;
  llvm::DenseMap<Value, Value> narrow;
  SmallVector<std::pair<Value, Value>> roots; ///< what was rounded, and to what
};

/// Every use rounds the argument, so that it may come rounded.
bool isOnlyRead16(BlockArgument argument) {
  return llvm::all_of(argument.getUsers(), [](Operation *user) {
    auto convert = dyn_cast<lm::ConvertOp>(user);
    return convert && lm::elementOf(convert.getY()).isBF16();
  });
}

struct RoundProducts : impl::RoundProductsBase<RoundProducts> {
  void runOnOperation() override {
    auto functions = llvm::to_vector(getOperation().getOps<func::FuncOp>());
    for (func::FuncOp function : functions)
      Narrower(function).run();
    narrowParameters(functions);
    for (func::FuncOp function : functions)
      updateSignature(function);
  }

  /// Parameters have one type in all programs.
  static void narrowParameters(ArrayRef<func::FuncOp> functions) {
    llvm::StringMap<bool> only16;
    auto forEach = [&](auto visit) {
      for (func::FuncOp function : functions)
        for (BlockArgument argument : function.getArguments())
          if (hasRole(function, argument.getArgNumber(), "parameter") &&
              lm::elementOf(argument).isF32())
            visit(argument, function.getArgAttrOfType<StringAttr>(argument.getArgNumber(), kName));
    };
    llvm::StringMap<bool> isRead;
    forEach([&](BlockArgument argument, StringAttr name) {
      auto at = only16.try_emplace(name, true).first;
      at->second &= isOnlyRead16(argument);
      isRead[name] |= !argument.use_empty();
    });
    forEach([&](BlockArgument argument, StringAttr name) {
      if (!only16.lookup(name) || !isRead.lookup(name))
        return;
      SmallVector<Operation *> converts(argument.user_begin(), argument.user_end());
      argument.setType(withElement(argument.getType(), BFloat16Type::get(argument.getContext())));
      for (Operation *convert : converts) {
        convert->getResult(0).replaceAllUsesWith(argument);
        convert->erase();
      }
    });
  }
};

} // namespace
} // namespace lmc
