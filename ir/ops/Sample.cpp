#include "ir/Dialect.h"

#include <algorithm>
#include <cmath>
#include <numeric>

using namespace mlir;

namespace lmc::lm {
namespace {

/// Weights are multiples of 2^-40, so that sums of 2^22 of them are exact in 64 bits.
constexpr int kFraction = 40;
constexpr int64_t kMostIds = int64_t(1) << 22;

using Wide = unsigned __int128;

struct RowOptions {
  double temperature, topP;
  int64_t topK, count;
  uint64_t bits;
};

uint64_t weightOf(double logit, double largest, double temperature) {
  double weight = std::exp((logit - largest) / temperature);
  return weight > 0 ? static_cast<uint64_t>(std::ldexp(weight, kFraction)) : 0;
}

/// By sorting all ids; kernels find thresholds instead.
int64_t drawRow(ArrayRef<double> logits, const RowOptions &options) {
  for (double logit : logits)
    if (std::isnan(logit) || logit == INFINITY)
      return -1;
  double largest = *std::max_element(logits.begin(), logits.end());
  if (largest == -INFINITY)
    return -1;
  std::vector<int64_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(),
                   [&](int64_t a, int64_t b) { return logits[a] > logits[b]; });
  if (!(options.temperature > 0))
    return ids.front();
  if (options.topK > 0 && options.topK < static_cast<int64_t>(ids.size()))
    ids.resize(options.topK);
  auto weight = [&](int64_t id) { return weightOf(logits[id], largest, options.temperature); };
  auto total = [&] {
    uint64_t sum = 0;
    for (int64_t id : ids)
      sum += weight(id);
    return sum;
  };
  if (options.topP < 1) {
    auto share = static_cast<uint64_t>(std::ldexp(std::max(options.topP, 0.0), 32));
    auto wanted = static_cast<uint64_t>(Wide(total()) * share >> 32);
    uint64_t sum = 0;
    size_t kept = 0;
    do
      sum += weight(ids[kept++]);
    while (sum < wanted);
    ids.resize(kept);
  }
  auto point = static_cast<uint64_t>(Wide(total()) * options.bits >> 64);
  std::sort(ids.begin(), ids.end());
  uint64_t sum = 0;
  for (int64_t id : ids)
    if ((sum += weight(id)) > point)
      return id;
  llvm_unreachable("the point lies below the sum");
}

} // namespace

LogicalResult SampleOp::infer(Adaptor op, std::optional<Location> loc,
                              SmallVectorImpl<Type> &types) {
  Shape rows = shapeOf(op.getLogits());
  if (rows.empty() || !rows.back().isStatic() || rows.back().size < 1 ||
      rows.back().size > kMostIds)
    return emitOptionalError(loc, "sample takes logits [..., V] with 1 <= V <= 2^22, got ",
                             toString(rows));
  rows.pop_back();
  Shape words = rows;
  words.push_back(2);
  auto check = [&](Value operand, StringRef name, const Shape &wanted) -> LogicalResult {
    if (shapeOf(operand) == wanted)
      return success();
    return emitOptionalError(loc, name, " must be ", toString(wanted), ", got ",
                             toString(shapeOf(operand)));
  };
  if (failed(check(op.getTemperature(), "temperature", rows)) ||
      failed(check(op.getTopK(), "top_k", rows)) || failed(check(op.getTopP(), "top_p", rows)) ||
      failed(check(op.getCount(), "count", rows)) || failed(check(op.getBits(), "bits", words)))
    return failure();
  types.push_back(tensorType(rows, IntegerType::get(op.getLogits().getContext(), 32)));
  return success();
}

LogicalResult SampleOp::evaluate(ArrayRef<const Tensor *> operands,
                                 SmallVectorImpl<Tensor> &results) {
  const Tensor &logits = *operands[0];
  int64_t vocab = logits.lastDim();
  Tensor ids(operands[1]->shape);
  for (int64_t row = 0; row < ids.size(); ++row) {
    auto at = [&](int operand, int64_t i) { return operands[operand]->data[i]; };
    auto word = [&](int64_t i) {
      return static_cast<uint32_t>(static_cast<int64_t>(at(5, 2 * row + i)));
    };
    auto count = static_cast<int64_t>(at(4, row));
    if (count <= 0 || count > vocab)
      count = vocab;
    RowOptions options{at(1, row), at(3, row), static_cast<int64_t>(at(2, row)), count,
                       uint64_t(word(1)) << 32 | word(0)};
    ids.data[row] = static_cast<double>(
        drawRow(ArrayRef<double>(logits.data).slice(row * vocab, count), options));
  }
  results.push_back(std::move(ids));
  return success();
}

LogicalResult SampleOp::adjoint(GraphBuilder &, ValueRange, MutableArrayRef<Value>) {
  return notDifferentiable(*this, "a draw is a choice among ids");
}

} // namespace lmc::lm
