#include "codegen/cuda/Joined.h"

#include "codegen/cuda/Expression.h"
#include "codegen/cuda/ScalarPrinter.h"
#include "ir/Segments.h"

#include "llvm/ADT/StringExtras.h"

using namespace mlir;

namespace lmc::cuda {
namespace {

/// "static __constant__ const int NAME[] = {...};"
std::string table(const std::string &name, ArrayRef<int64_t> numbers) {
  std::string text = fmt::format("static __constant__ const int {}[] = {{", name);
  for (auto [i, number] : llvm::enumerate(numbers))
    text += fmt::format("{}{}", i ? ", " : "", number);
  return text + "};\n";
}

class JoinedEmitter {
public:
  JoinedEmitter(plan::KernelOp kernel, StringRef name, StringRef architecture)
      : kernel(kernel), name(name.str()), architecture(architecture),
        segments(kernel.getSegmentsAttr()), block(kernel.getBody().front()) {}

  Kernel emit() {
    unsigned firstInput = 0, firstOutput = 0;
    int64_t firstSegment = 0;
    for (const Segments::Body &body : segments.bodies) {
      emitBody(body, firstInput, firstOutput, firstSegment);
      firstInput += body.shared + body.segments * body.inputs;
      firstOutput += body.segments * body.outputs;
      firstSegment += body.segments;
    }
    Kernel result;
    result.name = name;
    result.family = kernel.getFamily().str();
    result.grid = {{"", blocks, 1}};
    result.block = threads;
    result.addresses = block.getNumArguments() + firstOutput;
    result.text = fmt::format(
        "// {} ({}): {} segments\n{}{}"
        "extern \"C\" __global__ void __launch_bounds__({})\n"
        "{}(const __grid_constant__ lmc::Addresses<{}> addresses) {{\n"
        "  const int segment = lmc::segmentOf({}_first, static_cast<int>(blockIdx.x));\n"
        "  const int block = static_cast<int>(blockIdx.x) - {}_first[segment];\n{}}}\n",
        lm::modelPath(kernel.getLoc()), result.family, firstSegment, tables,
        table(name + "_first", first), threads, name, result.addresses, name, name, text);
    return result;
  }

private:
  /// One segment's part of the region.
  WithoutExtents partOf(const Segments::Body &body, unsigned firstInput, unsigned firstOutput,
                        int64_t segment) {
    SmallVector<BlockArgument> arguments;
    for (int64_t i = 0; i < body.shared; ++i)
      arguments.push_back(block.getArgument(firstInput + i));
    for (int64_t i = 0; i < body.inputs; ++i)
      arguments.push_back(block.getArgument(firstInput + body.shared + segment * body.inputs + i));
    auto results = block.getTerminator()->getOperands().slice(firstOutput + segment * body.outputs,
                                                              body.outputs);
    auto part = withoutExtents(kernel.getFamily(), arguments, SmallVector<Value>(results));
    assert(part && "lm-join-kernels joins nothing else");
    return std::move(*part);
  }

  void emitBody(const Segments::Body &body, unsigned firstInput, unsigned firstOutput,
                int64_t firstSegment) {
    SmallVector<llvm::StringMap<int64_t>> extents;
    Ranges largest;
    bool isRow = kernel.getFamily() == "row";
    std::unique_ptr<Block> common;
    for (int64_t segment = 0; segment < body.segments; ++segment) {
      WithoutExtents part = partOf(body, firstInput, firstOutput, segment);
      llvm::StringMap<int64_t> &of = extents.emplace_back();
      if (isRow)
        of = {{"rows", part.rows}, {"columns", part.columns}};
      else
        of = {{"n", part.columns}};
      for (auto &extent : of)
        largest[extent.getKey()] = std::max(largest[extent.getKey()], extent.getValue());
      if (!common)
        common = std::move(part.body);
    }
    Expression x(*common, largest, name, architecture);
    x.block = "block";
    Launch launch = isRow ? emitRow(x) : emitMap(x);
    assert((threads == 0 || threads == launch.block) && "a family's blocks are of one size");
    threads = launch.block;
    for (const auto &of : extents) {
      first.push_back(blocks);
      blocks += productOf(launch.grid, of);
    }
    // What emitters expect as parameters.
    std::string inside;
    for (auto &extent : extents.front()) {
      std::string symbol = extent.getKey().str();
      std::string where = fmt::format("{}_{}{}", name, symbol, firstSegment);
      SmallVector<int64_t> numbers;
      for (const auto &of : extents)
        numbers.push_back(of.at(symbol));
      tables += table(where, numbers);
      inside += fmt::format("    const long long extent_{} = {}[own];\n", symbol, where);
    }
    auto declare = [&](const std::string &type, const std::string &what, int64_t start,
                       int64_t step, int64_t number) {
      std::string at = std::to_string(start + number);
      if (step)
        at += step == 1 ? " + own" : fmt::format(" + own * {}", step);
      inside += fmt::format("    {0} *const {1} = addresses.of<{0}>({2});\n", type, what, at);
    };
    for (int64_t i = 0; i < body.shared + body.inputs; ++i) {
      bool isShared = i < body.shared;
      declare("const " + storageType(lm::elementOf(common->getArgument(i))), x.input(i), firstInput,
              isShared ? 0 : body.inputs, i);
    }
    for (int64_t i = 0; i < body.outputs; ++i)
      declare(storageType(lm::elementOf(x.outputValue(i))), x.output(i),
              block.getNumArguments() + firstOutput, body.outputs, i);
    text +=
        fmt::format("  if (segment < {}) {{ // {}\n    const int own = segment - {};\n{}{}"
                    "    return;\n  }}\n",
                    firstSegment + body.segments, launch.mapping, firstSegment, inside, x.scope());
  }

  plan::KernelOp kernel;
  std::string name;
  StringRef architecture;
  Segments segments;
  Block &block;
  std::string tables, text;
  SmallVector<int64_t> first; ///< block of each segment
  int64_t blocks = 0;
  unsigned threads = 0;
};

} // namespace

Kernel emitJoined(plan::KernelOp kernel, StringRef name, StringRef architecture) {
  return JoinedEmitter(kernel, name, architecture).emit();
}

} // namespace lmc::cuda
