#include "frontend/models/Programs.h"

#include "frontend/models/Blocks.h"
#include "frontend/models/IrFile.h"
#include "ir/ProgramAttributes.h"
#include "runtime/Error.h"
#include "runtime/Sampling.h"

#include "mlir/IR/Verifier.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace lmc {
namespace {

/// Largest batch of a classifier's @forward.
constexpr int64_t maxForwardBatch = 1024;

/// What a program that draws behind its logits [1, V] takes and makes (runtime/Sampling.h).
class Draws {
public:
  explicit Draws(ModelGraph &m, lm::Dim rows = 1) {
    Type f32 = m.g.b.getF32Type(), i32 = m.g.b.getI32Type();
    auto take = [&](std::string_view name, Type element) {
      return m.argument(name, "input", {rows}, element);
    };
    temperature = take(kSampleTemperature, f32);
    topK = take(kSampleTopK, i32);
    topP = take(kSampleTopP, f32);
    count = take(kSampleCount, i32);
    bits = m.argument(kSampleBits, "input", {rows, 2}, i32);
  }

  void output(ModelGraph &m, Value logits) {
    lm::GraphBuilder g = m.g.at("sample");
    m.output(logits, "logits");
    m.output(g.b.create<lm::SampleOp>(g.loc, logits, temperature, topK, topP, count, bits),
             kSampled);
  }

private:
  Value temperature, topK, topP, count, bits;
};

class Builder {
public:
  Builder(ModuleOp module, const ModelConfig &config, const ProgramOptions &options)
      : module(module), config(config), options(options), family(familyOf(config.architecture)),
        parameters(family.parameters(config)), i32(IntegerType::get(module.getContext(), 32)),
        f32(Float32Type::get(module.getContext())) {}

  void build() {
    if (options.training) {
      loss("loss", options.dropout);
      loss("eval", {});
    }
    if (!options.inference)
      return;
    forward();
    if (config.isLanguageModel()) {
      prefill();
      decode();
      if (options.draft > 0)
        verify();
      if (options.decodeBatch > 0)
        decodeBatch();
    }
  }

private:
  /// Token ids [batch, T], or features [batch, inputs] of a classifier.
  Value input(ModelGraph &m, lm::Dim batch, lm::Dim T) {
    if (config.takesTokens())
      return m.argument("tokens", "input", {batch, T}, i32);
    return m.argument("features", "input", {batch, config.inputs}, f32);
  }

  void loss(StringRef name, const Dropout &dropout) {
    ModelGraph m(module, name, config, parameters);
    m.longest = options.length;
    Value x = input(m, options.batch, options.length);
    lm::Shape rows = {options.batch};
    if (config.isLanguageModel())
      rows.push_back(options.length);
    Value targets = m.argument("targets", "input", rows, i32);
    if (dropout.any())
      m.useDropout(dropout);
    Value logits = family.logits(m, family.hidden(m, x));
    lm::GraphBuilder g = m.g.at("loss");
    Value perRow = g.b.create<lm::CrossEntropyOp>(g.loc, logits, targets);
    auto count = static_cast<double>(lm::staticSize(perRow.getType()));
    m.output(g.mul(g.sumAll(perRow), 1 / count), "loss");
    m.finish();
  }

  void forward() {
    ModelGraph m(module, "forward", config, parameters);
    m.longest = options.length;
    Value x = config.takesTokens() ? input(m, 1, m.symbol("T", 1, options.length))
                                   : input(m, m.symbol("B", 1, maxForwardBatch), 0);
    m.output(family.logits(m, family.hidden(m, x)), config.isEncoder() ? "hidden" : "logits");
    m.finish();
  }

  void prefill() {
    ModelGraph m(module, "prefill", config, parameters);
    m.longest = options.cacheLength;
    lm::Dim T = m.symbol("chunk", 1, options.chunk);
    Value tokens = input(m, 1, T);
    Value past = m.argument("past", "input", {}, i32);
    Value last = m.argument("last", "input", {1}, i32);
    Draws draws(m);
    m.useCaches(past, options);
    // Only one row goes through the head: V is much larger than C.
    Value rows = m.g.at("last").reshape(family.hidden(m, tokens), {T, config.width});
    Value row = m.g.b.create<lm::GatherOp>(m.g.at("last").loc, rows, last);
    draws.output(m, family.logits(m, row));
    m.finish();
  }

  void decode() {
    ModelGraph m(module, "decode", config, parameters);
    m.longest = options.cacheLength;
    Value tokens = input(m, 1, 1);
    Value past = m.argument("past", "input", {}, i32);
    Draws draws(m);
    m.useCaches(past, options);
    Value row = m.g.at("last").reshape(family.hidden(m, tokens), {1, config.width});
    draws.output(m, family.logits(m, row));
    m.finish();
  }

  /// What checks a guess of several tokens (speculative decoding).
  void verify() {
    ModelGraph m(module, "verify", config, parameters);
    m.longest = options.cacheLength;
    lm::Dim T = m.symbol("draft", 1, options.draft);
    Value tokens = input(m, 1, T);
    m.useCaches(m.argument("past", "input", {}, i32), options);
    Value rows = m.g.at("last").reshape(family.hidden(m, tokens), {T, config.width});
    m.output(family.logits(m, rows), "logits");
    m.finish();
  }

  /// The graph of one sequence with n tokens, but for their positions and attention.
  void decodeBatch() {
    ModelGraph m(module, "decode_batch", config, parameters);
    m.longest = options.cacheLength;
    lm::Dim n = m.symbol("sequences", 1, options.decodeBatch);
    Value tokens = input(m, 1, n);
    Value past = m.argument("past", "input", {n}, i32);
    Draws draws(m, n);
    m.useCaches(past, options);
    Value rows = m.g.at("last").reshape(family.hidden(m, tokens), {n, config.width});
    draws.output(m, family.logits(m, rows));
    m.finish();
  }

  ModuleOp module;
  const ModelConfig &config;
  const ProgramOptions &options;
  const ModelFamily &family;
  std::vector<ParameterSpec> parameters;
  Type i32, f32;
};

} // namespace

void requireLoss(const ModelConfig &config) {
  if (config.isEncoder())
    fail("{}: an encoder gives vectors and predicts no tokens, so there is no loss to train or "
         "evaluate; lmc embed computes its vectors",
         architectureName(config.architecture));
}

namespace {

/// Fills in the model's context for sizes left out.
ProgramOptions completed(const ModelConfig &config, ProgramOptions options) {
  if (options.batch < 1)
    fail("batch: expected at least 1 sequence, got {}", options.batch);
  if (options.training)
    requireLoss(config);
  if (!config.takesTokens())
    return options;
  if (options.inference && config.isLanguageModel() && config.vocab > kSamplingMostIds)
    fail("vocab: tokens are drawn from {} ids at most, got {}", kSamplingMostIds, config.vocab);
  auto upToContext = [&](int64_t &size, const char *what) {
    if (size == 0)
      size = config.context;
    if (size < 1 || size > config.context)
      fail("{}: expected 1 to {} tokens (the model's context), got {}", what, config.context, size);
  };
  upToContext(options.length, "length");
  upToContext(options.cacheLength, "cache length");
  if (options.pageTokens < 0 || options.poolTokens < 0)
    fail("pages: expected a number of tokens of 0 or more, got {} in a page, {} in the pool",
         options.pageTokens, options.poolTokens);
  if (options.decodeBatch < 0 || (options.decodeBatch > 0 && !options.pageTokens))
    fail("decode batch: {} sequences need caches in pages", options.decodeBatch);
  if (options.pageTokens && !options.inference)
    fail("pages: training has no KV caches");
  if (options.poolTokens && !options.pageTokens)
    fail("a pool of {} tokens needs the number of tokens in a page", options.poolTokens);
  if (options.pageTokens > options.cacheLength)
    fail("a page ({} tokens) is longer than a sequence ({})", options.pageTokens,
         options.cacheLength);
  if (options.pageTokens) {
    int64_t whole = static_cast<int64_t>(llvm::alignTo(static_cast<uint64_t>(options.cacheLength),
                                                       static_cast<uint64_t>(options.pageTokens)));
    options.cacheLength = std::min(whole, config.context);
    if (options.poolTokens == 0)
      options.poolTokens = options.cacheLength;
    if (options.poolTokens < options.pageTokens)
      fail("a pool of {} tokens has no room for a page of {}", options.poolTokens,
           options.pageTokens);
  }
  if (options.chunk == 0)
    options.chunk = std::min(options.cacheLength, kPrefillChunk);
  upToContext(options.chunk, "prefill chunk");
  if (options.chunk > options.cacheLength)
    fail("prefill chunk ({}) is longer than the cache ({})", options.chunk, options.cacheLength);
  if (options.draft < 0 || options.draft > options.cacheLength)
    fail("draft: expected 0 to {} tokens (the cache), got {}", options.cacheLength, options.draft);
  return options;
}

} // namespace

const ModelFamily &familyOf(Architecture architecture) {
  if (architecture == Architecture::Gpt2)
    return gpt2Family;
  if (architecture == Architecture::Bert)
    return encoderFamily;
  return decoderStyle(architecture) ? decoderFamily : layersFamily;
}

OwningOpRef<ModuleOp> buildPrograms(MLIRContext &context, const ModelConfig &config,
                                    const ProgramOptions &options) {
  context.loadDialect<lm::LMDialect, func::FuncDialect>();
  if (options.dropout.any() && config.architecture != Architecture::Gpt2)
    fail("dropout: only gpt2 has places for it; leave it at 0 for this model");
  if (options.pageTokens && (config.architecture == Architecture::Ir || !config.isLanguageModel()))
    fail("pages: {}", config.architecture == Architecture::Ir
                          ? "a program written as IR has the caches that it says"
                          : "this model has no KV caches");
  if (config.architecture == Architecture::Ir)
    return readIrFile(context, config.irFile, options);
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(&context));
  ProgramOptions sizes = completed(config, options);
  Builder(*module, config, sizes).build();
  assert(succeeded(verify(*module)) && "builders make valid programs");
  return module;
}

std::vector<ParameterSpec> parametersOf(ModuleOp module) {
  std::vector<ParameterSpec> result;
  StringRef first;
  for (auto function : module.getOps<func::FuncOp>()) {
    std::vector<ParameterSpec> own;
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      if (!hasRole(function, i, "parameter"))
        continue;
      auto name = function.getArgAttrOfType<StringAttr>(i, kName);
      auto type = dyn_cast<RankedTensorType>(function.getArgumentTypes()[i]);
      if (!name || !type || !type.hasStaticShape())
        fail("@{}: parameter {} needs an lm.name and a static shape", function.getName().str(), i);
      ParameterSpec spec{name.str(), type.getShape().vec(), 0, type.getRank() >= 2 ? 0.02 : 0};
      if (auto init = function.getArgAttrOfType<DenseF64ArrayAttr>(i, kInit);
          init && init.size() == 2)
        spec.initMean = init[0], spec.initDeviation = init[1];
      own.push_back(std::move(spec));
    }
    if (first.empty()) {
      first = function.getName();
      result = std::move(own);
    } else if (own != result) {
      fail("@{} and @{} have different parameters", first.str(), function.getName().str());
    }
  }
  return result;
}

std::vector<ParameterSpec> parametersOf(const ModelConfig &config) {
  MLIRContext context;
  ProgramOptions smallest;
  smallest.length = 1;
  smallest.training = !config.isEncoder();
  smallest.inference = config.isEncoder();
  return parametersOf(*buildPrograms(context, config, smallest));
}

} // namespace lmc
