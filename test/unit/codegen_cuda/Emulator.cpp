#include "Emulator.h"

#include "codegen/cuda/Print.h"
#include "codegen/cuda/device/emulated_tensor_map.h"
#include "ir/Dialect.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>

using namespace mlir;

namespace lmc::test {
namespace {

size_t bytesOf(Type element) { return std::max(8u, element.getIntOrFloatBitWidth()) / 8; }

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

/// The state region and the transient region of a program; both start as NaN.
struct Memory {
  Memory(const Program &program) {
    plan::ProgramOp op = *program.plan.get().getOps<plan::ProgramOp>().begin();
    transient.resize(op.getTransientBytes() + kAlign, static_cast<char>(0xff));
    cuda::Ranges ranges = cuda::rangesOf(program.plan.get());
    size_t end = 0;
    for (auto tensor : program.plan.get().getOps<plan::TensorOp>()) {
      auto type = cast<RankedTensorType>(tensor.getType());
      size_t bytes = bytesOf(type.getElementType());
      for (const lm::Dim &dim : lm::shapeOf(type))
        bytes *= dim.isStatic() ? dim.size : ranges.at(dim.symbol);
      end = std::max(end, tensor.getOffset() + bytes);
    }
    state.resize(end + kAlign, static_cast<char>(0xff));
  }

  char *at(const Program &program, Value buffer) {
    if (auto use = buffer.getDefiningOp<plan::UseOp>())
      return at(program, use.getTensor()) + use.getOffset();
    return aligned(transient) + buffer.getDefiningOp<plan::TemporaryOp>().getOffset();
  }
  char *at(const Program &program, StringRef tensor) {
    return aligned(state) + program.plan.get().lookupSymbol<plan::TensorOp>(tensor).getOffset();
  }

  static constexpr size_t kAlign = 64;
  static char *aligned(std::vector<char> &region) {
    auto address = reinterpret_cast<uintptr_t>(region.data());
    return region.data() + (kAlign - address % kAlign) % kAlign;
  }
  std::vector<char> state, transient;
};

Type elementOf(const Program &program, StringRef tensor) {
  return cast<RankedTensorType>(program.plan.get().lookupSymbol<plan::TensorOp>(tensor).getType())
      .getElementType();
}

/// A launch by the reference evaluator, for kernels that a test leaves out.
void evaluateKernel(const Program &program, plan::LaunchOp launch, Memory &memory) {
  auto kernel = program.plan.get().lookupSymbol<plan::KernelOp>(launch.getKernel());
  Block &body = kernel.getBody().front();
  std::vector<lm::Tensor> inputs;
  for (auto [argument, buffer] : llvm::zip_equal(body.getArguments(), launch.getInputs())) {
    inputs.emplace_back(cast<RankedTensorType>(argument.getType()).getShape());
    read(memory.at(program, buffer), lm::elementOf(argument), inputs.back());
  }
  std::vector<const lm::Tensor *> arguments;
  for (const lm::Tensor &input : inputs)
    arguments.push_back(&input);
  SmallVector<lm::Tensor> results;
  ASSERT_TRUE(succeeded(lm::evaluateBlock(body, arguments, results)));
  for (auto [i, buffer] : llvm::enumerate(launch.getOutputs()))
    write(memory.at(program, buffer), lm::elementOf(body.getTerminator()->getOperand(i)),
          results[i]);
}

emulation::TensorMap encoded(const cuda::TensorMap &map, const char *buffer,
                             const llvm::StringMap<int64_t> &extents) {
  std::vector<uint64_t> sizes, strides;
  for (const auto &size : map.sizes)
    sizes.push_back(cuda::productOf(size, extents));
  for (const auto &stride : map.strides)
    strides.push_back(cuda::productOf(stride, extents));
  emulation::TensorMap result;
  EXPECT_TRUE(emulation::encode(result, sizes.size(), buffer + map.offset, sizes.data(),
                                strides.data(), map.box.data()));
  return result;
}

} // namespace

EmulatedText::EmulatedText(const std::string &deviceLibrary, const std::string &kernels) {
  std::string pattern = (std::filesystem::temp_directory_path() / "lmc-emulation-XXXXXX").string();
  if (!mkdtemp(pattern.data())) {
    ADD_FAILURE() << "cannot make a folder like " << pattern;
    return;
  }
  std::filesystem::path folder = pattern;
  // Unrolling is for GPUs; here it would cost the compiler half of its time.
  std::string text = "#include \"emulation.h\"\n" + deviceLibrary + kernels;
  for (size_t at = 0; (at = text.find("#pragma unroll", at)) != std::string::npos;)
    text.replace(at, 2, "//");
  std::ofstream(folder / "kernels.cpp") << text;
  std::string command = "'" LMC_HOST_CXX "' -std=c++17 -O1 -w -ffp-contract=off -shared -fPIC "
                        "-I'" LMC_DEVICE_FOLDER "' '" +
                        (folder / "kernels.cpp").string() + "' -o '" +
                        (folder / "kernels.so").string() + "'";
  int status = std::system(command.c_str());
  if (status == 0)
    library = dlopen((folder / "kernels.so").c_str(), RTLD_NOW | RTLD_LOCAL);
  const char *error = library ? "" : dlerror();
  EXPECT_TRUE(library) << command << "\n" << (error ? error : "");
  std::filesystem::remove_all(folder);
}

EmulatedText::~EmulatedText() {
  if (library)
    dlclose(library);
}

std::string EmulatedText::launch(const std::string &kernel, unsigned grid, unsigned block,
                                 unsigned shared, unsigned seed, void **parameters) const {
  using Entry = const char *(*)(unsigned, unsigned, unsigned, unsigned, void **);
  auto entry =
      reinterpret_cast<Entry>(library ? dlsym(library, (kernel + "_emulated").c_str()) : nullptr);
  if (!entry)
    return "no kernel " + kernel;
  const char *fault = entry(grid, block, shared, seed, parameters);
  return fault ? fault : "";
}

static std::string textOf(const std::vector<const Program *> &programs) {
  std::string text;
  for (const Program *program : programs)
    for (auto &[name, kernel] : program->kernels)
      text += kernel.text + "LMC_EMULATE(" + kernel.name + ")\n";
  return text;
}

Emulator::Emulator(const std::vector<const Program *> &programs, const std::string &deviceLibrary)
    : text(deviceLibrary, textOf(programs)) {}

std::vector<lm::Tensor> Emulator::run(const Program &program, unsigned seed,
                                      std::string &fault) const {
  Memory memory(program);
  for (size_t i = 0; i < program.inputs.size(); ++i)
    write(memory.at(program, program.inputNames[i]), elementOf(program, program.inputNames[i]),
          program.inputs[i]);
  plan::ProgramOp op = *program.plan.get().getOps<plan::ProgramOp>().begin();
  for (auto launch : op.getBody().getOps<plan::LaunchOp>()) {
    auto found = program.kernels.find(launch.getKernel().str());
    if (found == program.kernels.end()) {
      evaluateKernel(program, launch, memory);
      continue;
    }
    const cuda::Kernel &kernel = found->second;
    std::vector<char *> buffers;
    for (Value buffer : launch.getInputs())
      buffers.push_back(memory.at(program, buffer));
    for (Value buffer : launch.getOutputs())
      buffers.push_back(memory.at(program, buffer));
    std::vector<int64_t> extents;
    for (const std::string &symbol : kernel.symbols)
      extents.push_back(program.source.extents.at(symbol));
    std::vector<void *> parameters;
    for (char *&buffer : buffers)
      parameters.push_back(&buffer);
    for (int64_t &extent : extents)
      parameters.push_back(&extent);
    std::vector<emulation::TensorMap> maps;
    for (const cuda::TensorMap &map : kernel.maps)
      maps.push_back(encoded(map, buffers[map.buffer], program.source.extents));
    for (emulation::TensorMap &map : maps)
      parameters.push_back(&map);
    fault = text.launch(kernel.name, static_cast<unsigned>(kernel.blocks(program.source.extents)),
                        kernel.block, kernel.sharedBytes, seed, parameters.data());
    if (!fault.empty())
      return {};
  }
  std::vector<lm::Tensor> results;
  for (size_t i = 0; i < program.expected.size(); ++i) {
    results.emplace_back(program.expected[i].shape);
    read(memory.at(program, program.resultNames[i]), elementOf(program, program.resultNames[i]),
         results.back());
  }
  return results;
}

std::string difference(const Program &program, const std::vector<lm::Tensor> &results) {
  for (size_t i = 0; i < program.expected.size(); ++i)
    for (int64_t j = 0; j < program.expected[i].size(); ++j) {
      double expected = program.expected[i].data[j], got = results[i].data[j];
      bool same = got == expected || (std::isnan(got) && std::isnan(expected)) ||
                  std::fabs(got - expected) <= program.source.tolerance * (1 + std::fabs(expected));
      if (!same)
        return program.source.name + ": result " + std::to_string(i) + ", element " +
               std::to_string(j) + " is " + std::to_string(got) + ", expected " +
               std::to_string(expected);
    }
  return "";
}

void expectAgreement(const std::vector<Program> &programs, std::span<const unsigned> seeds) {
  std::vector<const Program *> pointers;
  for (const Program &program : programs)
    pointers.push_back(&program);
  Emulator emulator(pointers, cuda::deviceLibrary());
  for (const Program &program : programs) {
    std::vector<lm::Tensor> first;
    for (unsigned seed : seeds) {
      std::string fault;
      std::vector<lm::Tensor> results = emulator.run(program, seed, fault);
      ASSERT_EQ(fault, "") << program.source.name << ", seed " << seed;
      EXPECT_EQ(difference(program, results), "") << "seed " << seed;
      if (first.empty())
        first = results;
      for (size_t i = 0; i < first.size(); ++i)
        EXPECT_EQ(results[i].data, first[i].data) << program.source.name << ", seed " << seed;
    }
  }
}

std::string planted(const std::string &good, const std::string &bad) {
  std::string text = cuda::deviceLibrary();
  size_t at = text.find(good);
  EXPECT_NE(at, std::string::npos) << good;
  return at == std::string::npos ? text : text.replace(at, good.size(), bad);
}

bool isFound(const Program &program, const std::string &library, std::span<const unsigned> seeds) {
  Emulator emulator({&program}, library);
  for (unsigned seed : seeds) {
    std::string fault;
    std::vector<lm::Tensor> results = emulator.run(program, seed, fault);
    if (!fault.empty() || !difference(program, results).empty())
      return true;
  }
  return false;
}

std::string replaced(std::string text, const std::string &good, const std::string &bad, bool all) {
  for (size_t at = 0; (at = text.find(good, at)) != std::string::npos; at += bad.size()) {
    text.replace(at, good.size(), bad);
    if (!all)
      break;
  }
  return text;
}

/// A kernel or the device library as the text of one variant among others.
static std::string variant(std::string text, const std::string &suffix) {
  text = replaced(text, "namespace lmc {", "namespace lmc" + suffix + " {\nusing namespace lmc;");
  return replaced(text, "lmc::", "lmc" + suffix + "::");
}

std::string evidence(const Program &program, const Emulator &emulator) {
  for (unsigned seed : {0, 1, 2, 3, 4, 5}) {
    std::string fault;
    std::vector<lm::Tensor> results = emulator.run(program, seed, fault);
    if (fault.empty())
      fault = difference(program, results);
    if (!fault.empty())
      return "seed " + std::to_string(seed) + ": " + fault;
  }
  return "";
}

void expectFound(std::map<std::string, Program> &programs, std::span<const Plant> list) {
  // All variants are one text, so that the emulation's own headers are compiled once.
  std::string text;
  std::vector<Plant> plants(list.begin(), list.end());
  for (auto &[name, program] : programs)
    plants.push_back({"nothing", "namespace", "namespace", name.c_str()});
  for (size_t i = 0; i < plants.size(); ++i) {
    const Plant &plant = plants[i];
    std::string suffix = "_" + std::to_string(i), good = cuda::deviceLibrary();
    std::string bad = replaced(good, plant.good, plant.bad, false);
    ASSERT_NE(good.find(plant.good), std::string::npos) << plant.what;
    text += variant(bad, suffix);
    for (auto &[symbol, kernel] : programs.at(plant.program).kernels) {
      std::string name = kernel.name + suffix;
      text +=
          replaced(variant(kernel.text, suffix), kernel.name, name) + "LMC_EMULATE(" + name + ")\n";
    }
  }
  Emulator emulator({}, text);
  for (size_t i = 0; i < plants.size(); ++i) {
    Program &program = programs.at(plants[i].program);
    std::map<std::string, cuda::Kernel> kernels = program.kernels;
    for (auto &[symbol, kernel] : program.kernels)
      kernel.name += "_" + std::to_string(i);
    std::string found = evidence(program, emulator);
    if (i < list.size())
      EXPECT_NE(found, "") << plants[i].what << " in " << plants[i].program;
    else
      EXPECT_EQ(found, "");
    program.kernels = kernels;
  }
}

} // namespace lmc::test
