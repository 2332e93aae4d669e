// The map family: pointwise over any index map, and gather.
//
// Mapping: a thread computes four neighbouring elements where the whole space is contiguous, else
// one element. No scratch. Limit: memory bandwidth.
#include "codegen/cuda/Expression.h"

#include "codegen/cuda/ScalarPrinter.h"
#include "runtime/Error.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace lmc::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr int kVector = 4; ///< 16 bytes of f32

Launch emitFlat(Expression &x, const lm::Shape &space, const std::string &thread) {
  Index index;
  index.at.assign(space.size(), "0");
  index.lane = static_cast<int>(space.size()) - 1;
  x.line(fmt::format("const index_t first = ({}) * {};", thread, kVector));
  x.line(fmt::format("const index_t end = {};", x.text(x.product(space))));
  x.line("if (first >= end)");
  x.line("  return;");
  SmallVector<std::pair<BlockArgument, std::string>> inputs;
  for (BlockArgument argument : x.body.getArguments())
    if (lm::shapeOf(argument) == space) {
      std::string name = x.input(argument.getArgNumber());
      x.line(
          fmt::format("const auto {0}_at = lmc::loadVector<{1}>({0}, first, end);", name, kVector));
      inputs.emplace_back(argument, name + "_at.at[k]");
    }
  for (unsigned i = 0; i < x.numOutputs(); ++i) {
    x.hoistUniform(x.outputValue(i), index);
    x.line(fmt::format("lmc::Vector<{}, {}> {}_at;", storageType(lm::elementOf(x.outputValue(i))),
                       kVector, x.output(i)));
  }
  x.line("#pragma unroll");
  x.braces(fmt::format("for (int k = 0; k < {}; ++k)", kVector), [&] {
    for (auto &[argument, name] : inputs) {
      Type element = lm::elementOf(argument);
      x.define(argument, x.name(computeType(element), Expression::loaded(element, name)));
    }
    for (unsigned i = 0; i < x.numOutputs(); ++i) {
      std::string element = x.evaluate(x.outputValue(i), index);
      x.line(fmt::format("{}_at.at[k] = {};", x.output(i),
                         Expression::stored(lm::elementOf(x.outputValue(i)), element)));
    }
  });
  for (unsigned i = 0; i < x.numOutputs(); ++i)
    x.line(fmt::format("lmc::storeVector<{0}>({1}, first, end, {1}_at);", kVector, x.output(i)));
  return {gridOf(x.product(space), kThreads * kVector), kThreads, "four elements a thread"};
}

} // namespace

Launch emitMap(Expression &x) {
  lm::Shape space = lm::shapeOf(x.outputValue(0));
  std::string thread = fmt::format(
      "static_cast<index_t>({}) * {} + static_cast<index_t>(threadIdx.x)", x.block, kThreads);
  if (isFlat(x.body, space))
    return emitFlat(x, space, thread);
  x.line(fmt::format("const index_t flat = {};", thread));
  x.line(fmt::format("if (flat >= {})", x.text(x.product(space))));
  x.line("  return;");
  Index index;
  index.at = x.unflatten("flat", space);
  // Everything is read before anything is stored: inputs may be overwritten in place.
  SmallVector<std::string> elements;
  for (unsigned i = 0; i < x.numOutputs(); ++i)
    elements.push_back(x.evaluate(x.outputValue(i), index));
  for (unsigned i = 0; i < x.numOutputs(); ++i)
    x.store(i, elements[i], index);
  return {gridOf(x.product(space), kThreads), kThreads, "one element a thread"};
}

} // namespace lmc::cuda
