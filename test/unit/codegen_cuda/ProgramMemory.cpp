#include "ProgramMemory.h"

#include "ir/Dialect.h"

#include <gtest/gtest.h>

#include <cstring>

using namespace mlir;

namespace lmc::test {
namespace {

template <typename T> void put(char *to, const lm::Tensor &from) {
  for (int64_t i = 0; i < from.size(); ++i) {
    T element = static_cast<T>(from.data[i]);
    std::memcpy(to + i * sizeof(T), &element, sizeof(T));
  }
}

template <typename T> void get(const char *from, lm::Tensor &to) {
  for (int64_t i = 0; i < to.size(); ++i) {
    T element;
    std::memcpy(&element, from + i * sizeof(T), sizeof(T));
    to.data[i] = static_cast<double>(element);
  }
}

void write(char *to, Type element, const lm::Tensor &from) {
  if (element.isF64())
    return put<double>(to, from);
  if (element.isF32())
    return put<float>(to, from);
  if (element.isInteger(64))
    return put<int64_t>(to, from);
  if (element.isInteger(32))
    return put<int32_t>(to, from);
  if (element.isInteger(8))
    return put<int8_t>(to, from);
  if (element.isInteger(1))
    return put<uint8_t>(to, from);
  ASSERT_TRUE(element.isBF16());
  for (int64_t i = 0; i < from.size(); ++i) { // inputs are exact in bf16
    float wide = static_cast<float>(from.data[i]);
    std::memcpy(to + 2 * i, reinterpret_cast<const char *>(&wide) + 2, 2);
  }
}

void read(const char *from, Type element, lm::Tensor &to) {
  if (element.isF64())
    return get<double>(from, to);
  if (element.isF32())
    return get<float>(from, to);
  if (element.isInteger(64))
    return get<int64_t>(from, to);
  if (element.isInteger(32))
    return get<int32_t>(from, to);
  if (element.isInteger(8))
    return get<int8_t>(from, to);
  if (element.isInteger(1))
    return get<uint8_t>(from, to);
  ASSERT_TRUE(element.isBF16());
  for (int64_t i = 0; i < to.size(); ++i) {
    uint32_t bits = 0;
    std::memcpy(reinterpret_cast<char *>(&bits) + 2, from + 2 * i, 2);
    float wide;
    std::memcpy(&wide, &bits, sizeof(wide));
    to.data[i] = wide;
  }
}

Type elementOf(const Program &program, StringRef tensor) {
  return cast<RankedTensorType>(program.plan.get().lookupSymbol<plan::TensorOp>(tensor).getType())
      .getElementType();
}

constexpr unsigned kState = 0, kTransient = 1;
constexpr uint64_t kAlign = 64;

} // namespace

ProgramMemory::ProgramMemory(const Program &program) : program(program) {
  ModuleOp plan = program.plan.get();
  cuda::Ranges largest = cuda::rangesOf(plan);
  uint64_t end = 0;
  for (auto tensor : plan.getOps<plan::TensorOp>())
    end = std::max(end,
                   tensor.getOffset() + bytesOf(cast<RankedTensorType>(tensor.getType()), largest));
  uint64_t transient = (*plan.getOps<plan::ProgramOp>().begin()).getTransientBytes();
  for (uint64_t size : {end, transient})
    bytes.emplace_back(size + kAlign, static_cast<char>(0xff));
  for (size_t i = 0; i < program.inputs.size(); ++i)
    write(at(operand(program.inputNames[i])), elementOf(program, program.inputNames[i]),
          program.inputs[i]);
}

Replay::Launch ProgramMemory::launch(plan::LaunchOp op, const cuda::Kernel &kernel) const {
  const llvm::StringMap<int64_t> &extents = program.source.extents;
  Replay::Launch result;
  result.kernel = kernel.name;
  result.grid = static_cast<unsigned>(kernel.blocks(extents));
  result.block = kernel.block;
  result.shared = kernel.sharedBytes;
  result.together = kernel.addresses > 0;
  for (Value buffer : op.getInputs())
    result.operands.push_back(operand(buffer));
  for (Value buffer : op.getOutputs())
    result.operands.push_back(operand(buffer));
  for (const std::string &symbol : kernel.symbols)
    result.extents.push_back(extents.at(symbol));
  for (const cuda::TensorMap &map : kernel.maps) {
    Replay::Map &one = result.maps.emplace_back();
    one.operand = map.buffer;
    one.offset = static_cast<uint64_t>(map.offset);
    for (const auto &size : map.sizes)
      one.sizes.push_back(cuda::productOf(size, extents));
    for (const auto &stride : map.strides)
      one.strides.push_back(cuda::productOf(stride, extents));
    one.box.assign(map.box.begin(), map.box.end());
  }
  return result;
}

void ProgramMemory::evaluate(plan::LaunchOp op) {
  auto kernel = program.plan.get().lookupSymbol<plan::KernelOp>(op.getKernel());
  Block &body = kernel.getBody().front();
  std::vector<lm::Tensor> inputs;
  for (auto [argument, buffer] : llvm::zip_equal(body.getArguments(), op.getInputs())) {
    inputs.emplace_back(cast<RankedTensorType>(argument.getType()).getShape());
    read(at(operand(buffer)), lm::elementOf(argument), inputs.back());
  }
  std::vector<const lm::Tensor *> arguments;
  for (const lm::Tensor &input : inputs)
    arguments.push_back(&input);
  SmallVector<lm::Tensor> results;
  ASSERT_TRUE(succeeded(lm::evaluateBlock(body, arguments, results)));
  for (auto [i, buffer] : llvm::enumerate(op.getOutputs()))
    write(at(operand(buffer)), lm::elementOf(body.getTerminator()->getOperand(i)), results[i]);
}

std::vector<lm::Tensor> ProgramMemory::results() const {
  std::vector<lm::Tensor> results;
  for (size_t i = 0; i < program.expected.size(); ++i) {
    const std::string &name = program.resultNames[i];
    results.emplace_back(program.expected[i].shape);
    read(at(operand(name)), elementOf(program, name), results.back());
  }
  return results;
}

std::vector<std::string> ProgramMemory::regions() const {
  std::vector<std::string> copies;
  for (unsigned region : {kState, kTransient})
    copies.emplace_back(at({region, 0, 0}), bytes[region].size() - kAlign);
  return copies;
}

void ProgramMemory::setRegions(const std::vector<std::string> &regions) {
  for (unsigned region : {kState, kTransient})
    regions[region].copy(at({region, 0, 0}), bytes[region].size() - kAlign);
}

char *ProgramMemory::at(const Replay::Operand &operand) {
  return const_cast<char *>(std::as_const(*this).at(operand));
}

const char *ProgramMemory::at(const Replay::Operand &operand) const {
  const char *start = bytes[operand.region].data();
  auto address = reinterpret_cast<uintptr_t>(start);
  return start + (kAlign - address % kAlign) % kAlign + operand.offset;
}

uint64_t ProgramMemory::bytesOf(RankedTensorType type,
                                const llvm::StringMap<int64_t> &extents) const {
  uint64_t bytes = std::max(8u, type.getElementType().getIntOrFloatBitWidth()) / 8;
  for (const lm::Dim &dim : lm::shapeOf(type))
    bytes *= dim.isStatic() ? dim.size : extents.at(dim.symbol);
  return bytes;
}

Replay::Operand ProgramMemory::operand(Value buffer) const {
  auto type = cast<plan::BufferType>(buffer.getType()).getTensor();
  uint64_t size = bytesOf(type, program.source.extents);
  if (auto use = buffer.getDefiningOp<plan::UseOp>())
    return {kState, operand(use.getTensor()).offset + use.getOffset(), size};
  return {kTransient, buffer.getDefiningOp<plan::TemporaryOp>().getOffset(), size};
}

Replay::Operand ProgramMemory::operand(StringRef tensor) const {
  auto op = program.plan.get().lookupSymbol<plan::TensorOp>(tensor);
  return {kState, op.getOffset(),
          bytesOf(cast<RankedTensorType>(op.getType()), program.source.extents)};
}

} // namespace lmc::test
