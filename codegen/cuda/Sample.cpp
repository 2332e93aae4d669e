// Draws ids from rows of logits (device/sample.cuh).
//
// Mapping: a block a row. Passes over the row: one for the largest logit, eight for each filter, one for
// the sum of the weights, one that finds the id. Shared memory: a histogram of 16 numbers for each thread.
// Limit: the row's way from the L2 cache to one multiprocessor, and an exponential an id in passes
// that add up weights.
#include "codegen/cuda/Expression.h"

using namespace mlir;

namespace lmc::cuda {
namespace {

constexpr unsigned kThreads = 512;
constexpr unsigned kBins = 16; ///< of device/sample.cuh

} // namespace

Launch emitSample(Expression &x) {
  auto op = *x.body.getOps<lm::SampleOp>().begin();
  lm::Shape rows = lm::shapeOf(op.getIds());
  int64_t n = lm::shapeOf(op.getLogits()).back().size;
  x.line("const index_t row = static_cast<index_t>(blockIdx.x);");
  Index row;
  row.at = x.unflatten("row", rows);
  auto word = [&](const char *which) {
    Index at = row;
    at.at.push_back(which);
    return x.evaluate(op.getBits(), at);
  };
  std::string low = word("0"), high = word("1");
  x.line(fmt::format(
      "const lmc::Sampling options = {{{}, {}, {}, lmc::Weight(static_cast<unsigned>({})) "
      "<< 32 | static_cast<unsigned>({})}};",
      x.evaluate(op.getTemperature(), row), x.evaluate(op.getTopK(), row),
      x.evaluate(op.getTopP(), row), high, low));
  std::string wanted = x.evaluate(op.getCount(), row);
  x.line(fmt::format("const int count = {0} > 0 && {0} < {1} ? {0} : {1};", wanted, n));
  auto logit = [&] {
    x.line("const index_t c = id;");
    Index at = row;
    at.at.push_back("c");
    at.lane = static_cast<int>(row.at.size());
    x.line(fmt::format("return {};", x.evaluate(op.getLogits(), at)));
  };
  x.braces("const auto logit = [&](int id)", logit, "};");
  x.line(fmt::format(
      "const int id = lmc::sampleRow<{}>(logit, count, options, lmc::dynamicShared());", kThreads));
  x.braces("if (threadIdx.x == 0)", [&] { x.store(0, "id", row); });
  Launch launch{gridOf(x.product(rows)), kThreads, "one block a row"};
  launch.sharedBytes = kBins * kThreads * 8;
  return launch;
}

} // namespace lmc::cuda
