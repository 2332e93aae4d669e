#include "frontend/models/Blocks.h"
#include "ir/ProgramAttributes.h"
#include "runtime/PagePool.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace lmc {

static Location named(MLIRContext *context, StringRef name) {
  return NameLoc::get(StringAttr::get(context, name));
}

ModelGraph::ModelGraph(ModuleOp module, StringRef name, const ModelConfig &config,
                       ArrayRef<ParameterSpec> table)
    : config(config), g(builder, named(module.getContext(), name)),
      builder(OpBuilder::atBlockEnd(module.getBody())) {
  function = builder.create<func::FuncOp>(g.loc, name, builder.getFunctionType({}, {}));
  builder.setInsertionPointToEnd(function.addEntryBlock());
  for (const ParameterSpec &spec : table) {
    Value value = argument(spec.name, "parameter", lm::Shape(spec.shape.begin(), spec.shape.end()),
                           builder.getF32Type());
    function.setArgAttr(function.getNumArguments() - 1, kInit,
                        builder.getDenseF64ArrayAttr({spec.initMean, spec.initDeviation}));
    parameters[spec.name] = value;
  }
}

Value ModelGraph::argument(StringRef name, StringRef role, ArrayRef<lm::Dim> shape, Type element) {
  unsigned index = function.getNumArguments();
  auto attributes =
      builder.getDictionaryAttr({builder.getNamedAttr(kName, builder.getStringAttr(name)),
                                 builder.getNamedAttr(kRole, builder.getStringAttr(role))});
  function.insertArgument(index, lm::tensorType(shape, element), attributes,
                          named(builder.getContext(), name));
  return function.getArgument(index);
}

void ModelGraph::output(Value value, StringRef name) {
  NamedAttrList attributes;
  attributes.set(kName, builder.getStringAttr(name));
  attributes.set(kRole, builder.getStringAttr("output"));
  results.push_back({value, attributes});
}

lm::Dim ModelGraph::symbol(StringRef name, int64_t low, int64_t high) {
  ranges.set(name, builder.getDenseI64ArrayAttr({low, high}));
  return builder.getStringAttr(name);
}

void ModelGraph::useCaches(Value past, const ProgramOptions &options) {
  pastTokens = past;
  int64_t sequences = 1, tokens = options.cacheLength;
  if (options.pageTokens) {
    auto pages = [&](int64_t tokens) {
      return llvm::divideCeil(tokens, static_cast<uint64_t>(options.pageTokens));
    };
    lm::Dim each = isBatch() ? lm::shapeOf(past)[0] : lm::Dim(1);
    pageTable = argument(kPages, "input", {each, pages(options.cacheLength)}, builder.getI32Type());
    sequences = pages(options.poolTokens);
    tokens = options.pageTokens;
  }
  for (int64_t layer = 0; layer < config.layers; ++layer)
    for (const char *part : {".k", ".v"})
      caches.push_back(argument("cache." + std::to_string(layer) + part, "cache",
                                {sequences, tokens, config.kvHeads, config.headDim},
                                builder.getF32Type()));
  updatedCaches = caches;
}

std::pair<Value, Value> ModelGraph::extendCaches(lm::GraphBuilder &at, int64_t layer, Value k,
                                                 Value v) {
  if (!pastTokens)
    return {k, v};
  auto append = [&](size_t index, Value update) {
    return updatedCaches[index] =
               at.b.create<lm::CacheAppendOp>(at.loc, caches[index], update, pastTokens, pageTable);
  };
  return {append(2 * layer, k), append(2 * layer + 1, v)};
}

void ModelGraph::useDropout(const Dropout &chosen) {
  shares = chosen;
  auto scalar = [&](StringRef name) { return argument(name, "input", {}, builder.getI32Type()); };
  key0 = scalar(kRandomKey0);
  key1 = scalar(kRandomKey1);
  step = scalar(kRandomStep);
}

Value ModelGraph::randomBits(lm::GraphBuilder &at, Value like) {
  assert(step && "useDropout comes first");
  Type type = lm::tensorType(lm::shapeOf(like), at.b.getI32Type());
  return at.b.create<lm::RandomBitsOp>(at.loc, type, key0, key1, step,
                                       at.b.getI32IntegerAttr(streams++));
}

void ModelGraph::finish() {
  for (auto [before, after] : llvm::zip_equal(caches, updatedCaches)) {
    unsigned index = cast<BlockArgument>(before).getArgNumber();
    NamedAttrList attributes = function.getArgAttrDict(index); // name and role
    attributes.set(kUpdates, builder.getI64IntegerAttr(index));
    results.push_back({after, attributes});
  }
  SmallVector<Value> values;
  SmallVector<DictionaryAttr> attributes;
  for (Result &result : results) {
    values.push_back(result.value);
    attributes.push_back(result.attributes.getDictionary(builder.getContext()));
  }
  builder.create<func::ReturnOp>(g.loc, values);
  function.setType(
      builder.getFunctionType(function.getArgumentTypes(), ValueRange(values).getTypes()));
  function.setAllResultAttrs(attributes);
  if (!ranges.empty())
    function->setAttr("lm.ranges", ranges.getDictionary(builder.getContext()));
}

} // namespace lmc
