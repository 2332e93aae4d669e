#include "Sanitized.h"

#include "../codegen_cuda/ProgramMemory.h"
#include "codegen/cuda/Print.h"
#include "runtime/Error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>

namespace lmc::test {
namespace {

/// What a command printed, and whether it ended with 0.
std::pair<std::string, bool> output(const std::string &command) {
  FILE *pipe = popen((command + " 2>&1").c_str(), "r");
  if (!pipe)
    fail("cannot start {}", command);
  std::string said;
  std::array<char, 4096> part;
  while (size_t bytes = fread(part.data(), 1, part.size(), pipe))
    said.append(part.data(), bytes);
  return {said, pclose(pipe) == 0};
}

} // namespace

Sanitized::Sanitized(const std::string &flags, std::string options)
    : compiler(flags + " -g1 -fno-omit-frame-pointer"), options(std::move(options)) {}

std::string Sanitized::missing(const std::string &flags) {
  std::string name = testing::TempDir() + "lmc-sanitizer-" + std::to_string(getpid());
  auto [said, runs] = output("echo 'int main() {}' | '" LMC_HOST_CXX "' " + flags +
                             " -x c++ - -o " + name + " && " + name);
  std::filesystem::remove(name);
  return runs ? "" : "programs built with " + flags + " do not run here: " + said;
}

void Sanitized::build(const std::string &text) {
  process = compiler.program(text, "#include \"" LMC_REPLAY "\"\n");
}

Outcome Sanitized::run(const Program &program,
                       const std::function<void(Replay::Launch &)> &change) {
  ProgramMemory memory(program);
  Replay replay;
  replay.regions = memory.regions();
  plan::ProgramOp op = *program.plan.get().getOps<plan::ProgramOp>().begin();
  for (auto launch : op.getBody().getOps<plan::LaunchOp>()) {
    replay.launches.push_back(memory.launch(launch, program.kernels.at(launch.getKernel().str())));
    change(replay.launches.back());
  }
  std::string file = process.string() + ".replay";
  {
    std::ofstream out(file, std::ios::binary);
    ReplayWriter{out}(replay);
  }
  auto [said, ended] = output(options + " '" + process.string() + "' '" + file + "'");
  Outcome outcome{ended, said, {}};
  if (ended) {
    std::ifstream in(file, std::ios::binary);
    replay = {};
    ReplayReader{in}(replay);
    memory.setRegions(replay.regions);
    outcome.results = memory.results();
  }
  std::filesystem::remove(file);
  return outcome;
}

void expectClean(Sanitized &sanitized, const std::vector<Program> &programs) {
  std::string text = cuda::deviceLibrary();
  for (const Program &program : programs)
    for (auto &[name, kernel] : program.kernels)
      text += kernel.text;
  sanitized.build(text);
  for (const Program &program : programs) {
    SCOPED_TRACE(program.source.name);
    Outcome outcome = sanitized.run(program);
    EXPECT_EQ(outcome.said, "");
    EXPECT_TRUE(outcome.ended);
    if (outcome.ended)
      EXPECT_EQ(difference(program, outcome.results), "");
  }
}

void expectReported(Sanitized &sanitized, std::map<std::string, Program> &programs,
                    std::span<const ReportedPlant> list) {
  std::vector<Plant> plants;
  for (const ReportedPlant &one : list)
    plants.push_back(one.plant);
  for (auto &[name, program] : programs)
    plants.push_back({"nothing", "namespace", "namespace", name.c_str()});
  std::string text = plantedText(programs, plants);
  sanitized.build(text);
  Emulator plain({}, text);
  for (size_t i = 0; i < plants.size(); ++i) {
    Program &program = programs.at(plants[i].program);
    SCOPED_TRACE(std::string(plants[i].what) + " in " + plants[i].program);
    std::map<std::string, cuda::Kernel> kernels = program.kernels;
    for (auto &[symbol, kernel] : program.kernels)
      kernel.name += plantSuffix(i);
    Outcome outcome = sanitized.run(program);
    if (i < list.size()) {
      EXPECT_FALSE(outcome.ended);
      EXPECT_THAT(outcome.said, testing::HasSubstr(list[i].report));
      if (list[i].isSilent)
        EXPECT_EQ(evidence(program, plain), "");
    } else {
      EXPECT_EQ(outcome.said, "");
      EXPECT_TRUE(outcome.ended);
    }
    program.kernels = kernels;
  }
}

} // namespace lmc::test
