// The programs of one model agree with each other, and carry the marks that passes read.
#include "ReferenceModel.h"

#include "ir/Dialect.h"
#include "passes/Passes.h"
#include "runtime/Error.h"

#include "mlir/IR/Verifier.h"
#include <fmt/format.h>
#include <gmock/gmock.h>

namespace lmc {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Largest difference of two rows of logits.
double difference(const lm::Tensor &a, int64_t row, const lm::Tensor &b, int64_t other) {
  double largest = 0;
  for (int64_t v = 0; v < a.lastDim(); ++v)
    largest = std::max(largest,
                       std::abs(a.data[row * a.lastDim() + v] - b.data[other * b.lastDim() + v]));
  return largest;
}

void comparePrefillAndDecode(const ModelConfig &config) {
  ReferenceModel model(config, {.chunk = 3, .cacheLength = 8, .training = false});
  model.randomise(11);
  const int tokens[] = {3, 1, 4, 1, 5, 9, 2, 6};
  lm::Tensor expected = model.forward(tokens);

  llvm::SmallVector<lm::Tensor> caches(2 * config.layers,
                                       lm::Tensor({1, 8, config.kvHeads, config.headDim}, 1e3));
  int64_t past = 0;
  auto step = [&](llvm::StringRef function, int64_t count, int last) {
    llvm::SmallVector<lm::Tensor> arguments = {
        ids({1, count}, llvm::ArrayRef(tokens).slice(past, count)),
        ids({}, {static_cast<int>(past)})};
    if (function == "prefill")
      arguments.push_back(ids({1}, {last}));
    // temperature, top_k, top_p, count, bits: the most likely of the first few tokens
    const int few = 7;
    for (int number : {0, 0, 0, few})
      arguments.push_back(ids({1}, {number}));
    arguments.push_back(ids({1, 2}, {0, 0}));
    arguments.append(caches);
    auto results = model.run(function, arguments, "chunk=" + std::to_string(count));
    caches.assign(results.begin() + 2, results.end());
    EXPECT_EQ(results[0].shape, (llvm::SmallVector<int64_t, 4>{1, config.vocab}));
    EXPECT_LT(difference(results[0], 0, expected, past + last), 1e-12) << function.str() << past;
    auto first = results[0].data.begin();
    EXPECT_EQ(results[1].data[0], std::max_element(first, first + few) - first);
    past += count;
  };
  step("prefill", 3, 2);
  step("prefill", 2, 0); // the logits of an inner token
  while (past < 8)
    step("decode", 1, 0);
}

TEST(Programs, Gpt2PrefillAndDecode) { comparePrefillAndDecode(oddGpt2()); }
TEST(Programs, LlamaPrefillAndDecode) { comparePrefillAndDecode(oddLlama()); }
TEST(Programs, MixturePrefillAndDecode) { comparePrefillAndDecode(oddMixture()); }

/// "name:role" of arguments after the parameters.
std::vector<std::string> arguments(mlir::func::FuncOp function) {
  std::vector<std::string> found;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    auto role = function.getArgAttrOfType<mlir::StringAttr>(i, kRole).str();
    auto name = function.getArgAttrOfType<mlir::StringAttr>(i, kName).str();
    EXPECT_EQ(lm::modelPath(function.getArgument(i).getLoc()), name);
    if (role != "parameter")
      found.push_back(name + ":" + role);
  }
  return found;
}

TEST(Programs, EncodersSeeAllTokens) {
  ModelConfig config = readModelSpec(
      YAML::Load("{architecture: bert, layers: 2, width: 6, heads: 3, ffn_width: 7, vocab: 11, "
                 "context: 9}"),
      "odd.yaml");
  EXPECT_THAT([&] { ReferenceModel(config, {.inference = false}); },
              testing::ThrowsMessage<Error>(testing::HasSubstr("lmc embed computes its vectors")));
  ReferenceModel model(config, {.training = false});
  model.randomise(5);
  auto run = [&](llvm::ArrayRef<int> tokens) {
    auto count = static_cast<int64_t>(tokens.size());
    return model.run("forward", {ids({1, count}, tokens)}, "T=" + std::to_string(count))[0];
  };
  lm::Tensor hidden = run({3, 1, 4, 1}), other = run({3, 1, 4, 2});
  EXPECT_EQ(hidden.shape, (llvm::SmallVector<int64_t, 4>{1, 4, 6}));
  EXPECT_GT(difference(hidden, 0, other, 0), 1e-6);  // the last token is seen by the first
  EXPECT_GT(difference(hidden, 1, hidden, 3), 1e-6); // positions count
}

TEST(Programs, Marks) {
  ModelConfig config = oddLlama();
  config.layers = 1;
  ReferenceModel model(config, {.batch = 2});
  auto function = [&](const char *name) {
    return model.program().lookupSymbol<mlir::func::FuncOp>(name);
  };
  EXPECT_THAT(arguments(function("loss")), ElementsAre("tokens:input", "targets:input"));
  EXPECT_THAT(arguments(function("eval")), ElementsAre("tokens:input", "targets:input"));
  EXPECT_THAT(arguments(function("forward")), ElementsAre("tokens:input"));
  EXPECT_THAT(arguments(function("prefill")),
              ElementsAre("tokens:input", "past:input", "last:input", "sample.temperature:input",
                          "sample.top_k:input", "sample.top_p:input", "sample.count:input",
                          "sample.bits:input", "cache.0.k:cache", "cache.0.v:cache"));
  auto decode = function("decode");
  EXPECT_THAT(arguments(decode),
              ElementsAre("tokens:input", "past:input", "sample.temperature:input",
                          "sample.top_k:input", "sample.top_p:input", "sample.count:input",
                          "sample.bits:input", "cache.0.k:cache", "cache.0.v:cache"));
  ASSERT_EQ(decode.getNumResults(), 4u);
  unsigned firstCache = decode.getNumArguments() - 2;
  EXPECT_EQ(decode.getResultAttrOfType<mlir::IntegerAttr>(2, kUpdates).getInt(), firstCache);
  EXPECT_EQ(decode.getResultAttrOfType<mlir::IntegerAttr>(3, kUpdates).getInt(), firstCache + 1);
  EXPECT_EQ(decode.getResultAttrOfType<mlir::StringAttr>(0, kName).getValue(), "logits");
  EXPECT_EQ(decode.getResultAttrOfType<mlir::StringAttr>(1, kName).getValue(), "sampled");
  EXPECT_FALSE(decode->hasAttr("lm.ranges"));
  auto ranges = function("prefill")->getAttrOfType<mlir::DictionaryAttr>("lm.ranges");
  EXPECT_THAT(ranges.getAs<mlir::DenseI64ArrayAttr>("chunk").asArrayRef(), ElementsAre(1, 9));
}

TEST(Programs, PagesAreATableAndPools) {
  ModelConfig config = oddLlama(); // of a context of 9
  config.layers = 1;
  ReferenceModel model(config, {.pageTokens = 4, .poolTokens = 22, .draft = 2, .training = false});
  for (const char *name : {"prefill", "decode", "verify"}) {
    auto function = model.program().lookupSymbol<mlir::func::FuncOp>(name);
    auto type = [&](const std::string &argument) -> mlir::Type {
      for (unsigned i = 0; i < function.getNumArguments(); ++i)
        if (function.getArgAttrOfType<mlir::StringAttr>(i, kName).getValue() == argument)
          return function.getArgumentTypes()[i];
      return {};
    };
    ASSERT_TRUE(type("pages")) << name;
    EXPECT_EQ(lm::toString(lm::shapeOf(type("pages"))), "[1, 3]");
    EXPECT_EQ(lm::toString(lm::shapeOf(type("cache.0.k"))),
              fmt::format("[6, 4, {}, {}]", config.kvHeads, config.headDim));
  }
}

TEST(Programs, EveryOpHasAModelPath) {
  for (const ModelConfig &config : {oddGpt2(), oddLlama(), oddNetwork()}) {
    ReferenceModel model(config, {});
    model.program().walk([](mlir::Operation *op) {
      if (op->getDialect() && op->getDialect()->getNamespace() == "lm") {
        EXPECT_NE(lm::modelPath(op->getLoc()), "") << op->getName().getStringRef().str();
      }
    });
  }
}

TEST(Programs, SizesThatDoNotFit) {
  auto message = [](ProgramOptions options) -> std::string {
    try {
      ReferenceModel model(oddGpt2(), options);
    } catch (const Error &error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message({.length = 10}),
            "length: expected 1 to 9 tokens (the model's context), got 10");
  EXPECT_EQ(message({.chunk = 5, .cacheLength = 4}),
            "prefill chunk (5) is longer than the cache (4)");
  EXPECT_EQ(message({.pageTokens = 10}), "a page (10 tokens) is longer than a sequence (9)");
  EXPECT_EQ(message({.pageTokens = 4, .poolTokens = 3}),
            "a pool of 3 tokens has no room for a page of 4");
  EXPECT_EQ(message({.poolTokens = 3}), "a pool of 3 tokens needs the number of tokens in a page");
  EXPECT_EQ(message({.pageTokens = 4, .inference = false}), "pages: training has no KV caches");
  EXPECT_EQ(message({.decodeBatch = 2}), "decode batch: 2 sequences need caches in pages");
  EXPECT_THAT(message({.pageTokens = -1}), HasSubstr("pages: expected a number of tokens"));
  EXPECT_THAT(message({.batch = 0}), HasSubstr("batch: expected at least 1"));
}

} // namespace
} // namespace lmc
