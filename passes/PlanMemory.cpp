// Why:    memory is known before the run: every value gets its place, parameters are updated in
//         place, equal kernels are compiled once.
// Before: func @train_step(%w) -> (%w' {lm.updates = 0}) { %w' = lm.kernel "map"(%w, ...) { ... } }
// After:  plan.tensor @w "parameter" ... at 0
//         plan.kernel @map_0 "map" { ... }
//         plan.program @train_step transient = 4096 { plan.launch @map_0(%w, ...) -> (%w) }
// Needs:  functions of lm.kernel and views (Views.h). Leaves: only plan ops at the top. Numerics: exact.
// Order:  last before code generation. Lifetimes and offsets: LaunchList.h.
#include "passes/Passes.h"

#include "ir/Dialect.h"
#include "ir/plan/Plan.h"
#include "passes/MemoryPlan.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/StringSet.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_PLANMEMORY
#include "passes/Passes.h.inc"

namespace {

/// In the order in which the state region holds them.
constexpr StringLiteral kRoles[] = {"parameter", "gradient", "moment", "state",
                                    "input",     "output",   "cache"};

struct PlanMemory : impl::PlanMemoryBase<PlanMemory> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<func::FuncOp> functions(module.getOps<func::FuncOp>());
    OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
    for (func::FuncOp function : functions)
      if (failed(collectTensors(function)))
        return signalPassFailure();
    placeTensors(builder);
    for (func::FuncOp function : functions)
      if (failed(buildProgram(function)))
        return signalPassFailure();
    for (func::FuncOp function : functions)
      function.erase();
  }

private:
  struct Tensor {
    std::string name, role;
    RankedTensorType type;
    int64_t bytes;
    Location loc;
    TypeAttr plain = {}; ///< of a packed parameter
    bool transposed = false;
    StringAttr blocks = {}; ///< of a block-quantised one
  };

  LogicalResult addTensor(func::FuncOp function, StringAttr name, StringAttr role, Type type,
                          Location loc) {
    if (!name || !role)
      return function.emitError() << "an argument or result has no lm.name or lm.role";
    if (!llvm::is_contained(kRoles, role.getValue()))
      return function.emitError() << "'" << name.getValue() << "' has the unknown role '"
                                  << role.getValue() << "'";
    int64_t bytes = largestBytes(type, function->getAttrOfType<DictionaryAttr>("lm.ranges"));
    auto [at, isNew] = tensorIndex.try_emplace(name, tensors.size());
    if (isNew) {
      tensors.push_back({name.str(), role.str(), cast<RankedTensorType>(type), bytes, loc});
      return success();
    }
    // Programs share tensors by name; symbolic extents may differ in range.
    Tensor &known = tensors[at->second];
    if (llvm::is_contained({"parameter", "gradient", "moment"}, role.getValue()) &&
        known.type != type)
      return function.emitError() << "'" << name.getValue() << "' is " << type << " here and "
                                  << known.type << " in another program";
    if (known.role != role.getValue() ||
        known.type.getElementType() != cast<RankedTensorType>(type).getElementType())
      return function.emitError() << "'" << name.getValue()
                                  << "' has another role or element type in another program";
    if (bytes > known.bytes) {
      known.bytes = bytes;
      known.type = cast<RankedTensorType>(type);
    }
    return success();
  }

  /// Each donation names an argument of its type, each name stands for one tensor.
  static LogicalResult checkInterface(func::FuncOp function) {
    llvm::StringSet<> names;
    llvm::DenseSet<int64_t> updated;
    auto isFresh = [&](StringAttr name) {
      return !name || names.insert(name.getValue()).second
                 ? success()
                 : function.emitError()
                       << "two arguments or results are named '" << name.getValue() << "'";
    };
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      if (failed(isFresh(function.getArgAttrOfType<StringAttr>(i, kName))))
        return failure();
    for (unsigned i = 0; i < function.getNumResults(); ++i) {
      auto updates = function.getResultAttrOfType<IntegerAttr>(i, kUpdates);
      if (!updates) {
        if (failed(isFresh(function.getResultAttrOfType<StringAttr>(i, kName))))
          return failure();
        continue;
      }
      int64_t target = updates.getInt();
      if (target < 0 || target >= static_cast<int64_t>(function.getNumArguments()) ||
          function.getArgumentTypes()[target] != function.getResultTypes()[i])
        return function.emitError() << "result " << i << " updates argument " << target
                                    << ", which does not exist or has another type";
      if (!updated.insert(target).second)
        return function.emitError() << "two results update argument " << target;
    }
    return success();
  }

  LogicalResult collectTensors(func::FuncOp function) {
    if (failed(checkInterface(function)))
      return failure();
    for (BlockArgument argument : function.getArguments()) {
      unsigned i = argument.getArgNumber();
      if (failed(addTensor(function, function.getArgAttrOfType<StringAttr>(i, kName),
                           function.getArgAttrOfType<StringAttr>(i, kRole), argument.getType(),
                           argument.getLoc())))
        return failure();
      if (auto plain = function.getArgAttrOfType<TypeAttr>(i, kPlain)) {
        StringAttr name = function.getArgAttrOfType<StringAttr>(i, kName);
        Tensor &tensor = tensors[tensorIndex.lookup(name)];
        tensor.plain = plain;
        tensor.transposed = bool(function.getArgAttr(i, kPlainTransposed));
        tensor.blocks = function.getArgAttrOfType<StringAttr>(i, kBlocks);
      }
    }
    for (unsigned i = 0; i < function.getNumResults(); ++i) {
      if (function.getResultAttr(i, kUpdates))
        continue;
      if (failed(addTensor(function, function.getResultAttrOfType<StringAttr>(i, kName),
                           function.getResultAttrOfType<StringAttr>(i, kRole),
                           function.getResultTypes()[i], function.getLoc())))
        return failure();
    }
    return success();
  }

  void placeTensors(OpBuilder &builder) {
    int64_t state = 0, slot = 0;
    for (StringRef role : kRoles)
      for (const Tensor &tensor : tensors) {
        if (tensor.role != role)
          continue;
        int64_t &offset = role == "cache" ? slot : state;
        builder.create<plan::TensorOp>(tensor.loc, tensor.name, tensor.role, tensor.type, offset,
                                       tensor.plain, tensor.transposed, tensor.blocks);
        offset += alignedBytes(tensor.bytes);
      }
  }

  /// The symbol of a kernel, shared with earlier ones that are equal up to names.
  plan::KernelOp outline(lm::KernelOp kernel) {
    std::string text;
    llvm::raw_string_ostream stream(text);
    kernel->print(stream, OpPrintingFlags().useLocalScope().enableDebugInfo(false));
    text = text.substr(text.find("lm.kernel")); // without the names of results
    text = dropOperandNames(text);
    auto [at, isNew] = kernels.try_emplace(text);
    if (!isNew)
      return at->second;
    OpBuilder builder = OpBuilder::atBlockEnd(getOperation().getBody());
    std::string symbol;
    do // a tensor may be called so
      symbol = kernel.getFamily().str() + "_" + std::to_string(counters[kernel.getFamily()]++);
    while (tensorIndex.contains(symbol));
    auto outlined = builder.create<plan::KernelOp>(kernel.getLoc(), symbol, kernel.getFamily(),
                                                   kernel.getSegmentsAttr());
    outlined.getBody().takeBody(kernel.getBody());
    Block &block = outlined.getBody().front();
    Operation *yield = block.getTerminator();
    OpBuilder(yield).create<plan::YieldOp>(yield->getLoc(), yield->getOperands());
    yield->erase();
    return at->second = outlined;
  }

  /// "matmul"(%4, %7) : ... -> "matmul"() : ...; operands' types follow in the text.
  static std::string dropOperandNames(const std::string &text) {
    size_t open = text.find('('), close = text.find(')', open);
    return text.substr(0, open + 1) + text.substr(close);
  }

  /// A cache kernel writes new rows only: it must have the old ones in place.
  static LogicalResult checkCaches(func::FuncOp function, const MemoryPlan &memory) {
    for (auto kernel : function.getOps<lm::KernelOp>())
      for (auto append : kernel.getBody().front().getOps<lm::CacheAppendOp>()) {
        auto cache = dyn_cast<BlockArgument>(append.getCache());
        Value old = cache ? kernel.getInputs()[cache.getArgNumber()] : Value();
        if (!old || memory.storageOf(old).tensor.empty() ||
            memory.storageOf(old).tensor != memory.storageOf(kernel.getOutputs()[0]).tensor)
          return append.emitError() << "the cache must be an argument that one result updates "
                                       "(lm.updates) and that nobody reads afterwards";
      }
    return success();
  }

  LogicalResult buildProgram(func::FuncOp function) {
    MemoryPlan memory(function);
    if (failed(checkCaches(function, memory)))
      return failure();
    auto ranges = function->getAttrOfType<DictionaryAttr>("lm.ranges");
    OpBuilder builder = OpBuilder::atBlockEnd(getOperation().getBody());
    auto program = builder.create<plan::ProgramOp>(function.getLoc(), function.getName(),
                                                   memory.transientBytes(),
                                                   ranges ? ranges : builder.getDictionaryAttr({}));
    Block &body = program.getBody().emplaceBlock();
    OpBuilder inner = OpBuilder::atBlockEnd(&body);

    // One buffer op for each value: equal places may hold tensors of different shapes.
    llvm::DenseMap<Value, Value> buffers;
    auto bufferOf = [&](Value value) {
      Value &buffer = buffers[value];
      if (buffer)
        return buffer;
      const Storage &place = memory.storageOf(value);
      auto type = plan::BufferType::get(&getContext(), cast<RankedTensorType>(value.getType()));
      int64_t offset = memory.offsetOf(value);
      if (place.tensor.empty())
        buffer = inner.create<plan::TemporaryOp>(value.getLoc(), type, place.offset + offset,
                                                 largestBytes(value.getType(), ranges));
      else
        buffer = inner.create<plan::UseOp>(value.getLoc(), type, place.tensor, offset);
      return buffer;
    };
    for (lm::KernelOp kernel : llvm::make_early_inc_range(function.getOps<lm::KernelOp>())) {
      SmallVector<Value> inputs, outputs;
      for (Value input : kernel.getInputs())
        inputs.push_back(bufferOf(input));
      for (Value output : kernel.getOutputs())
        outputs.push_back(bufferOf(output));
      SmallVector<Attribute> ops, paths;
      for (Value stored : kernel.getBody().front().getTerminator()->getOperands()) {
        Operation *definition = stored.getDefiningOp();
        ops.push_back(
            builder.getStringAttr(definition ? definition->getName().getStringRef() : "copy"));
        paths.push_back(builder.getStringAttr(lm::modelPath(stored.getLoc())));
      }
      plan::KernelOp outlined = outline(kernel);
      auto launch =
          inner.create<plan::LaunchOp>(kernel.getLoc(), outlined.getSymName(), inputs, outputs);
      launch->setAttr("ops", builder.getArrayAttr(ops));
      launch->setAttr("paths", builder.getArrayAttr(paths));
    }
    return success();
  }

  SmallVector<Tensor> tensors;
  llvm::StringMap<unsigned> tensorIndex;
  llvm::StringMap<plan::KernelOp> kernels;
  llvm::StringMap<unsigned> counters;
};

} // namespace
} // namespace lmc
