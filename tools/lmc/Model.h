// MODEL, as every subcommand takes it: an .lmx, a checkpoint folder, a Hugging Face folder, a .gguf.
#pragma once

#include "codegen/Compiler.h"
#include "frontend/Weights.h"
#include "frontend/chat/ChatTemplate.h"
#include "frontend/models/Programs.h"
#include "frontend/tokenizer/Tokenizer.h"
#include "passes/Pipeline.h"
#include "runtime/Executable.h"
#include "runtime/GpuMonitor.h"
#include "serve/Engine.h"

#include "mlir/IR/Diagnostics.h"

#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace lmc {

/// What the command line says about compilation, for every subcommand that compiles.
struct CompileSettings {
  PipelineOptions pipeline;
  CodegenOptions codegen;
  ProgramOptions programs;
  std::set<std::string> keep; ///< programs to compile; empty: all that were built
  /// Parameters that are kept in what their file has: f16, bf16, or a block format.
  std::map<std::string, std::string> stored;
  std::string target = "cpu"; ///< --target, for the commands that run what they compile
  bool timePasses = false;

  /// T of a training step; of inference, the tokens that a sequence may have.
  void setLength(int64_t tokens) { programs.length = programs.cacheLength = tokens; }
  /// Computes on these weights as they are stored, where the target and the precision have such
  /// products; says on stderr where quantised ones are expanded.
  void keepStored(const class Weights &weights, const std::filesystem::path &path);
  /// Keeps the arena of a run with `workers` within `bytes`; `source` names the setting in errors.
  void limitMemory(int64_t bytes, int workers, std::string source);
};

/// Sets what a target's name says: cpu, cpu:NAME, cuda, cuda:sm_80. Without an architecture `cuda` is
/// this machine's GPU where the code runs `here`, else sm_90a. Throws Error.
void chooseTarget(CodegenOptions &codegen, const std::string &target, bool here);

/// Prints what the passes explain, and on stderr what they and the compilers of kernels warn of, while
/// it lives.
class PrintedRemarks {
public:
  explicit PrintedRemarks(mlir::MLIRContext &context);

private:
  mlir::ScopedDiagnosticHandler handler;
};

/// Where a model's parts lie.
struct ModelSource {
  std::filesystem::path path;    ///< as given
  std::filesystem::path config;  ///< config.json, the spec or the .gguf
  std::filesystem::path weights; ///< folder or .gguf; empty: none
  bool isExecutable = false;     ///< an .lmx
};
/// Throws Error where the path is no model.
ModelSource findModel(const std::filesystem::path &path);

/// Builds the programs and runs the passes, up to the phase that the settings stop after; prints
/// --time-passes.
mlir::OwningOpRef<mlir::ModuleOp> planModel(mlir::MLIRContext &context, const ModelConfig &config,
                                            const CompileSettings &settings);

/// Builds the programs and compiles them, or finds them in the cache; prints --time-passes.
std::shared_ptr<const Executable> compileModel(const ModelConfig &config,
                                               const CompileSettings &settings,
                                               const std::map<std::string, std::string> &metadata,
                                               const ParameterData &parameters);

/// The weights of a folder or a .gguf, one parameter at a time: f32, or blocks as they are where asked
/// for.
class Weights {
public:
  Weights(const ModelConfig &config, const std::filesystem::path &path);
  /// The span stays valid until the next call.
  ParameterData data();
  /// The parameters that are in a shorter format than f32 that kernels know, with its name.
  std::map<std::string, std::string> formats() const;

private:
  std::unique_ptr<WeightSource> source;
  std::vector<ParameterSpec> parameters;
  std::vector<const TensorView *> views;
  std::vector<float> converted;
  std::vector<std::byte> reordered;
  const TensorView *lent = nullptr; ///< whose bytes the caller has had

  std::optional<ParameterValues> find(const std::string &name, std::string_view format);
  ParameterValues storedBytes(const TensorView &view);
};

/// What an executable carries along: spec, config.json, tokenizer, where it came from.
std::map<std::string, std::string>
modelMetadata(const ModelConfig &config, const ModelSource &source, const Tokenizer *tokenizer);

/// The tokenizer of a folder or a .gguf. Null where there is none, or the .gguf's is of a kind that
/// cannot be taken from there; `why` then gets the reason.
std::shared_ptr<const Tokenizer> modelTokenizer(const std::filesystem::path &path,
                                                std::string *why = nullptr);

/// A model that is ready for inference.
struct LoadedModel {
  std::shared_ptr<const Executable> executable;
  std::shared_ptr<const Tokenizer> tokenizer; ///< null where the model has none
  std::string noTokenizer;                    ///< then why
  ModelInfo info;
  ModelConfig config;
};

/// Loads an .lmx, or compiles a folder or a .gguf with its weights. `programs` says which are wanted.
LoadedModel loadModel(const std::filesystem::path &path, CompileSettings settings);

/// Of the GPU that sessions of the executable run on, for metrics. Null on the CPU, and where NVML is
/// missing, which a line on stderr says.
std::shared_ptr<const GpuMonitor> monitorOf(const Executable &executable);

/// Throws Error that names the first id which stands for different tokens in two models. Where one has
/// no tokenizer, ids are all there is, and they are taken for the same.
void requireSameTokens(const LoadedModel &model, const LoadedModel &other);

/// How the model's conversations are written: `file` if it is not empty, else what came with the model;
/// null where there is none. Throws Error where a template is not understood.
std::shared_ptr<const ChatTemplate> chatTemplateOf(const LoadedModel &model,
                                                   const std::filesystem::path &file);

/// The tokenizer, or an Error that says what to do.
const Tokenizer &requireTokenizer(const LoadedModel &model);

} // namespace lmc
