// What the cache must never do: give a program to somebody who asked for another one, or one that
// was damaged on disk.
#include "codegen/CodeCache.h"

#include "codegen/Compiler.h"
#include "codegen/KernelCompiler.h"
#include "frontend/models/Programs.h"
#include "runtime/Error.h"
#include "runtime/Session.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace lmc::test {
namespace {

namespace fs = std::filesystem;

class CodeCacheTest : public testing::Test {
protected:
  CodeCacheTest() : folder(fs::temp_directory_path() / fmt::format("lmc-cache-{}", getpid())) {
    if (const char *value = std::getenv("LMC_CACHE_DIR"))
      before = value;
    setenv("LMC_CACHE_DIR", folder.c_str(), 1);
    config.architecture = Architecture::Layers;
    config.inputs = 5;
    config.classes = 3;
    config.layerList = {{LayerSpec::Kind::Linear, 7, true}, {LayerSpec::Kind::Relu}};
    train.train.emplace();
    train.train->lr = 1e-3;
  }
  ~CodeCacheTest() override {
    before.empty() ? unsetenv("LMC_CACHE_DIR") : setenv("LMC_CACHE_DIR", before.c_str(), 1);
    fs::remove_all(folder);
  }

  std::shared_ptr<const Executable> compile(int64_t batch = 4) {
    mlir::MLIRContext context;
    loadCompilerDialects(context);
    ProgramOptions programs;
    programs.batch = batch;
    programs.inference = false;
    auto module = buildPrograms(context, config, programs);
    report = {};
    return compilePrograms(*module, train, {.mode = "train", .jobs = 1}, {{"note", note}}, nullptr,
                           &report);
  }

  fs::path onlyFile(const char *kind) {
    fs::path found;
    for (const auto &entry : fs::recursive_directory_iterator(folder / kind))
      if (entry.is_regular_file()) {
        EXPECT_TRUE(found.empty()) << "more than one entry: " << entry.path();
        found = entry.path();
      }
    return found;
  }

  fs::path folder;
  std::string before, note = "first";
  ModelConfig config;
  PipelineOptions train;
  CompileReport report;
};

TEST_F(CodeCacheTest, SamePrograms) {
  auto made = compile();
  EXPECT_FALSE(report.programsCached);
  EXPECT_EQ(report.compiled, report.kernels);
  note = "second";
  auto found = compile();
  EXPECT_TRUE(report.programsCached);
  EXPECT_EQ(report.compiled, 0u);
  EXPECT_EQ(report.kernels, static_cast<unsigned>(made->message().kernels_size()));
  EXPECT_EQ(found->message().metadata().at("note"), "second") << "metadata is not the programs'";
  ASSERT_EQ(found->data().size(), made->data().size());
  EXPECT_TRUE(std::ranges::equal(found->data(), made->data()));
  EXPECT_EQ(found->message().state_bytes(), made->message().state_bytes());
  Session session(found, {1, 1});
  session.run("train_step");
}

TEST_F(CodeCacheTest, OtherPrograms) {
  compile();
  train.train->lr = 1e-3 + 1e-12; // shorter texts of it would be equal
  compile();
  EXPECT_FALSE(report.programsCached) << "another learning rate";
  train.train->accumulate = 2;
  compile();
  EXPECT_FALSE(report.programsCached) << "another number of micro-batches";
  auto scratch = [](mlir::ModuleOp plan) { return workerScratchBytes(plan, {}); };
  train.memory = MemoryLimit{int64_t(1) << 30, 1, "test", scratch};
  compile();
  EXPECT_FALSE(report.programsCached) << "a memory limit";
  train.memory->workers = 2;
  compile();
  EXPECT_FALSE(report.programsCached) << "more scratch within the limit";
  train.memory->source = "elsewhere";
  compile();
  EXPECT_TRUE(report.programsCached) << "who set the limit changes nothing";
  compile(5);
  EXPECT_FALSE(report.programsCached) << "another batch";
  config.layerList[1].kind = LayerSpec::Kind::Gelu;
  compile(5);
  EXPECT_FALSE(report.programsCached) << "another activation";
  compile(5);
  EXPECT_TRUE(report.programsCached);
}

TEST_F(CodeCacheTest, DamagedEntryIsMadeAgain) {
  compile();
  fs::path file = onlyFile("programs");
  std::string bytes;
  {
    std::ifstream stream(file, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(stream), {});
  }
  auto damage = [&](std::string text) {
    std::ofstream(file, std::ios::binary | std::ios::trunc) << text;
    compile();
    EXPECT_FALSE(report.programsCached);
    EXPECT_EQ(report.compiled, 0u) << "the kernels are still there";
    compile();
    EXPECT_TRUE(report.programsCached);
  };
  damage("");
  damage(bytes.substr(0, 5));
  damage(bytes.substr(0, bytes.size() - 1));
  std::string flipped = bytes;
  flipped[bytes.size() / 2] ^= 1;
  damage(flipped);
}

TEST_F(CodeCacheTest, WatchedPassesRun) {
  compile();
  train.dumpFolder = folder / "dump";
  compile();
  EXPECT_FALSE(report.programsCached);
  EXPECT_TRUE(fs::exists(folder / "dump" / "00-import.mlir"));
}

/// Its assembler warns of every kernel.
class WarningTarget final : public KernelTarget {
public:
  std::string canonical() const override { return "warning"; }
  Source emit(plan::KernelOp, const Symbols &, llvm::StringRef) const override {
    return {"text", {}};
  }
  Assembler assembler() const override {
    return [](const std::string &) -> Assembled { return {"object", {"slow"}}; };
  }
  std::vector<std::byte> link(const std::vector<Linked> &) const override { return {}; }
};

TEST_F(CodeCacheTest, WarningsAreGivenEachTime) {
  mlir::MLIRContext context;
  std::vector<std::string> warnings;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
    EXPECT_EQ(diagnostic.getSeverity(), mlir::DiagnosticSeverity::Warning);
    warnings.push_back(diagnostic.str());
  });
  loadCompilerDialects(context);
  ProgramOptions programs;
  programs.inference = false;
  auto module = buildPrograms(context, config, programs);
  runPipeline(*module, train);
  for (int time = 0; time < 2; ++time) {
    report = {};
    warnings.clear();
    compileKernels(*module, {}, WarningTarget(), {.jobs = 2}, report);
    EXPECT_GT(report.compiled, 0u);
    EXPECT_EQ(report.cached, 0u) << "a kernel that warns is not kept";
    EXPECT_EQ(report.warnings, report.compiled);
    ASSERT_EQ(warnings.size(), report.compiled);
    EXPECT_TRUE(warnings.front().ends_with(": slow")) << warnings.front();
    EXPECT_NE(warnings.front().find("kernel of warning ("), std::string::npos) << warnings.front();
  }
}

} // namespace
} // namespace lmc::test
