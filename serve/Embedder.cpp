#include "serve/Embedder.h"

#include "runtime/Error.h"

#include <algorithm>
#include <cmath>

namespace lmc {

/// The last extent of a tensor.
static int64_t featuresOf(const Executable &executable, std::string_view name) {
  for (const auto &tensor : executable.message().tensors())
    if (tensor.name() == name)
      return tensor.shape(tensor.shape_size() - 1);
  fail("the executable has no tensor '{}'; it is no encoder's", name);
}

Embedder::Embedder(std::shared_ptr<const Executable> given, int64_t vocab, EmbedderOptions options,
                   int threads)
    : executable(std::move(given)), vocab(vocab), options(options),
      session(executable, {threads, 1}), numFeatures(featuresOf(*executable, "hidden")),
      numTokens(static_cast<int64_t>(session.i32("tokens").size())) {}

std::vector<float> Embedder::embed(std::span<const int32_t> tokens) {
  if (tokens.empty())
    fail("a text of no tokens has no vector");
  auto count = static_cast<int64_t>(tokens.size());
  if (count > numTokens)
    fail("{} tokens do not fit into the model's context of {}; shorten the text", count, numTokens);
  for (int32_t token : tokens)
    if (token < 0 || token >= vocab)
      fail("token {} is outside the vocabulary of {}", token, vocab);
  std::ranges::copy(tokens, session.i32("tokens").begin());
  session.run("forward", session.dimsWith("T", count));
  std::span<const float> hidden = session.f32("hidden");

  std::vector<double> sum(numFeatures);
  int64_t rows = options.first ? 1 : count;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t c = 0; c < numFeatures; ++c)
      sum[c] += hidden[row * numFeatures + c];
  double scale = 1 / static_cast<double>(rows);
  if (options.normalized) {
    double squares = 0;
    for (double value : sum)
      squares += value * value;
    scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
  }
  std::vector<float> vector;
  for (double value : sum)
    vector.push_back(static_cast<float>(value * scale));
  return vector;
}

} // namespace lmc
