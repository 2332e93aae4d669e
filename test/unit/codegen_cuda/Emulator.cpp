#include "Emulator.h"

#include "../emulation/HostCompiler.h"
#include "ProgramMemory.h"
#include "codegen/cuda/Print.h"
#include "codegen/cuda/device/emulated_tensor_map.h"
#include "runtime/Error.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <dlfcn.h>

using namespace mlir;

namespace lmc::test {
static emulation::TensorMap encoded(const Replay::Map &map, const char *operand) {
  emulation::TensorMap result;
  EXPECT_TRUE(emulation::encode(result, static_cast<uint32_t>(map.sizes.size()),
                                operand + map.offset, map.sizes.data(), map.strides.data(),
                                map.box.data()));
  return result;
}

EmulatedText::EmulatedText(const std::string &deviceLibrary, const std::string &kernels) {
  static HostCompiler compiler;
  std::filesystem::path object = compiler.sharedObject(deviceLibrary + kernels);
  library = dlopen(object.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library)
    fail("{}", dlerror());
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
      text += kernel.text;
  return text;
}

Emulator::Emulator(const std::vector<const Program *> &programs, const std::string &deviceLibrary)
    : text(deviceLibrary, textOf(programs)) {}

std::vector<lm::Tensor> Emulator::run(const Program &program, unsigned seed,
                                      std::string &fault) const {
  ProgramMemory memory(program);
  plan::ProgramOp op = *program.plan.get().getOps<plan::ProgramOp>().begin();
  for (auto launch : op.getBody().getOps<plan::LaunchOp>()) {
    auto found = program.kernels.find(launch.getKernel().str());
    if (found == program.kernels.end()) {
      memory.evaluate(launch);
      continue;
    }
    Replay::Launch one = memory.launch(launch, found->second);
    std::vector<char *> buffers;
    for (const Replay::Operand &operand : one.operands)
      buffers.push_back(memory.at(operand));
    std::vector<emulation::TensorMap> maps;
    for (const Replay::Map &map : one.maps)
      maps.push_back(encoded(map, buffers[map.operand]));
    std::vector<void *> parameters;
    if (one.together)
      parameters.push_back(buffers.data());
    else
      for (char *&buffer : buffers)
        parameters.push_back(&buffer);
    for (int64_t &extent : one.extents)
      parameters.push_back(&extent);
    for (emulation::TensorMap &map : maps)
      parameters.push_back(&map);
    fault = text.launch(one.kernel, one.grid, one.block, one.shared, seed, parameters.data());
    if (!fault.empty())
      return {};
  }
  return memory.results();
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

std::string plantedText(std::map<std::string, Program> &programs, std::span<const Plant> plants) {
  std::string text;
  for (size_t i = 0; i < plants.size(); ++i) {
    const Plant &plant = plants[i];
    std::string suffix = plantSuffix(i), good = cuda::deviceLibrary();
    EXPECT_NE(good.find(plant.good), std::string::npos) << plant.what;
    text += variant(replaced(good, plant.good, plant.bad, false), suffix);
    for (auto &[symbol, kernel] : programs.at(plant.program).kernels)
      text += replaced(variant(kernel.text, suffix), kernel.name, kernel.name + suffix);
  }
  return text;
}

void expectFound(std::map<std::string, Program> &programs, std::span<const Plant> list) {
  std::vector<Plant> plants(list.begin(), list.end());
  for (auto &[name, program] : programs)
    plants.push_back({"nothing", "namespace", "namespace", name.c_str()});
  Emulator emulator({}, plantedText(programs, plants));
  for (size_t i = 0; i < plants.size(); ++i) {
    Program &program = programs.at(plants[i].program);
    std::map<std::string, cuda::Kernel> kernels = program.kernels;
    for (auto &[symbol, kernel] : program.kernels)
      kernel.name += plantSuffix(i);
    std::string found = evidence(program, emulator);
    if (i < list.size())
      EXPECT_NE(found, "") << plants[i].what << " in " << plants[i].program;
    else
      EXPECT_EQ(found, "");
    program.kernels = kernels;
  }
}

} // namespace lmc::test
