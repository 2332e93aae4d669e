#include "tools/lmc/Model.h"

#include "codegen/cpu/Matmul.h"
#include "codegen/cuda/Blocks.h"
#include "codegen/cuda/Gpus.h"
#include "codegen/cuda/Nvrtc.h"
#include "codegen/cuda/Print.h"
#include "frontend/Weights.h"
#include "frontend/gguf/GgufModel.h"
#include "frontend/gguf/GgufTokenizer.h"
#include "ir/BlockPanels.h"
#include "ir/Dialect.h"
#include "ir/ProgramAttributes.h"
#include "runtime/CudaDriver.h"
#include "runtime/Error.h"
#include "runtime/Knobs.h"
#include "runtime/PagePool.h"

#include <nlohmann/json.hpp>

#include <malloc.h>

#include <fstream>
#include <future>

namespace lmc {
namespace {

namespace fs = std::filesystem;

/// The programs of the model that the settings ask for.
mlir::OwningOpRef<mlir::ModuleOp> wantedPrograms(mlir::MLIRContext &context,
                                                 const ModelConfig &config,
                                                 const CompileSettings &settings) {
  loadCompilerDialects(context);
  auto module = buildPrograms(context, config, settings.programs);
  for (auto function : llvm::make_early_inc_range(module->getOps<mlir::func::FuncOp>()))
    if (!settings.keep.empty() && !settings.keep.contains(function.getName().str()))
      function.erase();
  if (config.isEncoder() && module->getBody()->empty())
    fail("{} is an encoder: it gives a text's vector and predicts no tokens; use lmc embed",
         architectureName(config.architecture));
  for (auto function : module->getOps<mlir::func::FuncOp>())
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      auto name = function.getArgAttrOfType<mlir::StringAttr>(i, kName);
      auto format = name ? settings.stored.find(name.str()) : settings.stored.end();
      if (format == settings.stored.end())
        continue;
      if (format->second == "f16")
        function.setArgAttr(i, kStored, mlir::TypeAttr::get(mlir::Float16Type::get(&context)));
      else if (format->second == "bf16")
        function.setArgAttr(i, kStored, mlir::TypeAttr::get(mlir::BFloat16Type::get(&context)));
      else
        function.setArgAttr(i, kBlocks, mlir::StringAttr::get(&context, format->second));
    }
  return module;
}

void printPhase(const std::string &name, double seconds) {
  fmt::print(stderr, "{:<14} {:8.1f} ms\n", name, seconds * 1e3);
}

PipelineOptions pipelineOf(const CompileSettings &settings) {
  PipelineOptions pipeline = settings.pipeline;
  if (settings.timePasses)
    pipeline.onPhase = printPhase;
  if (pipeline.memory)
    pipeline.memory->scratchBytes = [&codegen = settings.codegen](mlir::ModuleOp plan) {
      return workerScratchBytes(plan, codegen);
    };
  pipeline.gpu = !settings.codegen.gpu.empty();
  if (pipeline.gpu)
    pipeline.parameterBytes = cuda::parameterBytes();
  if (!pipeline.cacheFormat.empty() && (pipeline.gpu || pipeline.bf16))
    fail("--kv-cache {} is for the CPU with --precision f32; with --precision bf16 keys and values "
         "take 16 bits as well",
         pipeline.cacheFormat);
  if (pipeline.gpu && pipeline.memory)
    pipeline.memory->workers = 1; // the one area that libraries work in
  if (settings.codegen.mode != "infer")
    return pipeline;
  if (pipeline.gpu) {
    pipeline.splitAttention.emplace().multiprocessors =
        cuda::multiprocessorsOf(settings.codegen.gpu);
    pipeline.blockWidth = cuda::kBlockWidth;
  } else {
    cpu::Target target = cpu::Target::named(settings.codegen.cpu);
    pipeline.panelWidth = cpu::panelWidth(target);
    pipeline.blockWidth = target.lanes(32);
  }
  return pipeline;
}

int64_t parameterCount(const Executable &executable) {
  int64_t count = 0;
  for (const auto &tensor : executable.message().tensors()) {
    if (tensor.role() != executable::PARAMETER)
      continue;
    int64_t size = 1;
    for (int64_t extent : tensor.has_packing() ? tensor.packing().shape() : tensor.shape())
      size *= extent;
    count += size;
  }
  return count;
}

/// What one sequence may hold: the caches [1, S, G, D], or its table or the pool of pages, may be shorter
/// than the model's context.
int64_t contextOf(const Executable &executable, int64_t context) {
  if (auto pages = pageLayout(executable))
    return std::min({context, pages->tablePages * pages->pageTokens, pages->poolTokens()});
  for (const auto &tensor : executable.message().tensors())
    if (tensor.role() == executable::CACHE)
      return std::min(context, tensor.shape(1));
  return context;
}

ModelInfo infoOf(const ModelConfig &config, const Tokenizer *tokenizer, std::string name,
                 const Executable &executable) {
  ModelInfo info;
  info.name = std::move(name);
  info.architecture = architectureName(config.architecture);
  info.vocab = config.vocab;
  info.context = contextOf(executable, config.context);
  info.parameters = parameterCount(executable);
  if (config.bosId)
    info.bos = static_cast<int32_t>(*config.bosId);
  else if (tokenizer && tokenizer->bosId())
    info.bos = tokenizer->bosId();
  for (int64_t id : config.eosIds)
    info.eos.push_back(static_cast<int32_t>(id));
  if (info.eos.empty() && tokenizer && tokenizer->eosId())
    info.eos.push_back(*tokenizer->eosId());
  return info;
}

std::string nameOf(const fs::path &path) {
  fs::path clean = fs::weakly_canonical(path);
  bool isFile = clean.extension() == ".lmx" || isGguf(clean);
  return isFile ? clean.stem().string() : clean.filename().string();
}

LoadedModel loadExecutable(const fs::path &path) {
  LoadedModel model;
  model.executable = Executable::load(path);
  const auto &metadata = model.executable->message().metadata();
  auto text = [&](const char *key) {
    auto at = metadata.find(key);
    return at == metadata.end() ? std::string() : at->second;
  };
  if (text("spec").empty())
    fail("'{}': holds no model spec; it was not written by lmc compile", path.string());
  model.noTokenizer = "it was compiled without one";
  if (!text("tokenizer.json").empty())
    model.tokenizer =
        parseTokenizer(text("tokenizer.json"), text("tokenizer_config.json"), path.string());
  model.config = readModelSpec(YAML::Load(text("spec")), path.string());
  model.info = infoOf(model.config, model.tokenizer.get(), nameOf(path), *model.executable);
  for (const auto &tensor : model.executable->message().tensors())
    if (tensor.role() == executable::PARAMETER && tensor.data_offset() < 0)
      fail("'{}': has no weights (parameter '{}'); compile it from a folder that has them",
           path.string(), tensor.name());
  return model;
}

} // namespace

void CompileSettings::limitMemory(int64_t bytes, int workers, std::string source) {
  pipeline.memory = MemoryLimit{bytes, workers, std::move(source), {}};
}

void chooseTarget(CodegenOptions &codegen, const std::string &target, bool here) {
  if (isCudaTarget(target))
    codegen.gpu = here && target == "cuda" ? CudaDriver::system().architecture()
                                           : cuda::architectureOf(target);
  else if (target.starts_with("cpu:") && target.size() > 4)
    codegen.cpu = target.substr(4);
  else if (target != "cpu")
    fail("target '{}' is unknown; use cpu, cpu:NAME, cuda or cuda:sm_90a", target);
}

PrintedRemarks::PrintedRemarks(mlir::MLIRContext &context)
    : handler(&context, [](mlir::Diagnostic &diagnostic) {
        switch (diagnostic.getSeverity()) {
        case mlir::DiagnosticSeverity::Remark:
          fmt::print("{}\n", diagnostic.str());
          return mlir::success();
        case mlir::DiagnosticSeverity::Warning:
          fmt::print(stderr, "warning: '{}': {}\n", lm::modelPath(diagnostic.getLocation()),
                     diagnostic.str());
          return mlir::success();
        default:
          return mlir::failure();
        }
      }) {}

ModelSource findModel(const fs::path &path) {
  ModelSource source;
  source.path = path;
  if (!fs::exists(path))
    fail("'{}': no such file or folder; MODEL is an .lmx, a checkpoint folder, a run's "
         "checkpoint.dir, a Hugging Face folder or a .gguf",
         path.string());
  if (fs::is_directory(path)) {
    fs::path folder = path;
    if (fs::exists(path / "latest") && !fs::exists(path / "config.json")) {
      std::ifstream stream(path / "latest"); // a run's folder: its latest checkpoint
      std::string name;
      std::getline(stream, name);
      folder = path / name;
    }
    source.config = folder / "config.json";
    source.weights = folder;
    if (!fs::exists(source.config))
      fail("'{}': holds no config.json, so it is no model folder", folder.string());
    return source;
  }
  if (path.extension() == ".lmx") {
    source.isExecutable = true;
    return source;
  }
  source.config = path;
  if (isGguf(path))
    source.weights = path;
  return source;
}

std::shared_ptr<const Executable> compileModel(const ModelConfig &config,
                                               const CompileSettings &settings,
                                               const std::map<std::string, std::string> &metadata,
                                               const ParameterData &parameters) {
  mlir::MLIRContext context;
  PrintedRemarks remarks(context);
  auto module = wantedPrograms(context, config, settings);
  CompileReport report;
  auto executable = compilePrograms(*module, pipelineOf(settings), settings.codegen, metadata,
                                    parameters, &report);
  if (settings.timePasses) {
    if (report.programsCached)
      fmt::print(stderr, "programs       from the cache, no phase ran\n");
    fmt::print(stderr, "kernels        {:4} in all, {} compiled, {} from the cache\n",
               report.kernels, report.compiled, report.cached);
    if (!report.programsCached) {
      printPhase("emit", report.emitSeconds);
      printPhase("compile", report.compileSeconds);
      printPhase("link", report.linkSeconds);
    }
  }
  return executable;
}

mlir::OwningOpRef<mlir::ModuleOp> planModel(mlir::MLIRContext &context, const ModelConfig &config,
                                            const CompileSettings &settings) {
  auto module = wantedPrograms(context, config, settings);
  runPipeline(*module, pipelineOf(settings));
  return module;
}

LoadedModel loadModel(const fs::path &path, CompileSettings settings) {
  ModelSource source = findModel(path);
  if (source.isExecutable) {
    if (settings.pipeline.bf16)
      fail("'{}': --precision is chosen where a model is compiled (lmc compile --precision bf16), "
           "and this file is compiled",
           path.string());
    if (!settings.pipeline.cacheFormat.empty())
      fail("'{}': --kv-cache is chosen where a model is compiled (lmc compile --kv-cache {}), and "
           "this file is compiled",
           path.string(), settings.pipeline.cacheFormat);
    if (settings.programs.pageTokens)
      fail("'{}': --kv-page is chosen where a model is compiled (lmc compile --kv-page {}), and "
           "this "
           "file is compiled",
           path.string(), settings.programs.pageTokens);
    if (settings.programs.length)
      fail("'{}': --length is chosen where a model is compiled (lmc compile --length {}), and this "
           "file is compiled",
           path.string(), settings.programs.length);
    if (settings.target != "cpu")
      fail("'{}': --target is chosen where a model is compiled (lmc compile --target {}), and this "
           "file is compiled",
           path.string(), settings.target);
    return loadExecutable(path);
  }
  chooseTarget(settings.codegen, settings.target, true);
  if (source.weights.empty())
    fail("'{}' is a spec without weights; give a folder that has them (a checkpoint of lmc train)",
         path.string());
  LoadedModel model;
  model.config = readModelConfig(source.config);
  // A large vocabulary takes a third of the time that the rest takes.
  auto tokenizer = std::async(std::launch::async, [&] {
    auto result = modelTokenizer(source.weights, &model.noTokenizer);
    malloc_trim(0); // reading it took several times its size, which the weights can use
    return result;
  });
  Weights weights(model.config, source.weights);
  settings.keepStored(weights, path);
  // No metadata: nobody writes this executable.
  model.executable = compileModel(model.config, settings, {}, weights.data());
  model.tokenizer = tokenizer.get();
  model.info = infoOf(model.config, model.tokenizer.get(), nameOf(path), *model.executable);
  return model;
}

std::map<std::string, std::string>
modelMetadata(const ModelConfig &config, const ModelSource &source, const Tokenizer *tokenizer) {
  std::map<std::string, std::string> metadata = {
      {"spec", canonicalSpec(config)},
      {"config.json", huggingFaceConfig(config)},
      {"source_path", fs::weakly_canonical(source.path).string()}};
  if (tokenizer) {
    metadata["tokenizer.json"] = tokenizer->serialize();
    metadata["tokenizer_config.json"] = tokenizer->serializeConfig();
  }
  return metadata;
}

Weights::Weights(const ModelConfig &config, const fs::path &path)
    : source(openModelWeights(path)), parameters(parametersOf(config)),
      views(matchWeights(*source, config, parameters)) {}

/// Of a stored type, as compiler and executable call it.
static std::string formatName(TensorType type) {
  return llvm::StringRef(formatOf(type).name).lower();
}

/// Pieces may differ; then they are read as f32.
static bool hasOneType(const TensorView &view) {
  return llvm::all_of(view.parts, [&](const TensorView &part) { return part.type == view.type; });
}

std::map<std::string, std::string> Weights::formats() const {
  std::map<std::string, std::string> formats;
  for (size_t i = 0; i < parameters.size(); ++i) {
    std::string name = formatName(views[i]->type);
    bool isHalf = views[i]->type == TensorType::F16 || views[i]->type == TensorType::BF16;
    bool isBlocks = formatOf(views[i]->type).isQuantised() && lm::findBlockFormat(name);
    if (views[i]->offset == 0 && hasOneType(*views[i]) && (isHalf || isBlocks))
      formats[parameters[i].name] = name;
  }
  return formats;
}

ParameterData Weights::data() {
  return [this](const std::string &name, std::string_view format) { return find(name, format); };
}

std::optional<ParameterValues> Weights::find(const std::string &name, std::string_view format) {
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].name != name)
      continue;
    if (lent) // else a file and what is made of it were in memory together
      source->forget(*lent);
    lent = views[i];
    const TensorFormat &stored = formatOf(lent->type);
    // A transposed matrix of blocks is asked for by columns, which is how it lies.
    bool asItLies = lent->offset == 0 && hasOneType(*lent) &&
                    (lent->order != StoredOrder::Transposed || stored.isQuantised());
    if (formatName(lent->type) == format && asItLies)
      return storedBytes(*lent);
    converted.resize(lent->numElements());
    readAsF32(*lent, converted);
    return std::as_bytes(std::span(converted));
  }
  return std::nullopt;
}

ParameterValues Weights::storedBytes(const TensorView &view) {
  if (!view.parts.empty()) {
    reordered.clear();
    for (const TensorView &part : view.parts)
      llvm::append_range(reordered, part.bytes);
    return std::span<const std::byte>(reordered);
  }
  size_t size = formatOf(view.type).isQuantised() ? 1 : sizeBytes(view.type);
  bool aligned = reinterpret_cast<uintptr_t>(view.bytes.data()) % size == 0;
  if (aligned && (view.order == StoredOrder::Rows || view.order == StoredOrder::Transposed))
    return {view.bytes, true};
  auto rows = static_cast<size_t>(view.shape[0]);
  size_t rowBytes = view.bytes.size() / rows;
  reordered.resize(view.bytes.size());
  for (size_t row = 0; row < rows; ++row) {
    auto from = static_cast<size_t>(view.storedRow(static_cast<int64_t>(row)));
    std::ranges::copy(view.bytes.subspan(from * rowBytes, rowBytes),
                      reordered.begin() + static_cast<std::ptrdiff_t>(row * rowBytes));
  }
  return std::span<const std::byte>(reordered);
}

void CompileSettings::keepStored(const Weights &weights, const fs::path &path) {
  stored = weights.formats();
  auto isHalf = [](const auto &entry) { return entry.second == "f16" || entry.second == "bf16"; };
  if (pipeline.bf16 || !codegen.gpu.empty())
    std::erase_if(stored, isHalf);
  if (!pipeline.bf16 || stored.empty())
    return;
  fmt::print(stderr,
             "warning: '{}': {} quantised tensors are expanded to bf16: integer products are "
             "computed without --precision\n",
             path.string(), stored.size());
  stored.clear();
}

std::shared_ptr<const Tokenizer> modelTokenizer(const fs::path &path, std::string *why) {
  if (isGguf(path)) {
    GgufTokenizer tokenizer = readGgufTokenizer(GgufFile::open(path).metadata());
    try {
      return makeTokenizer(tokenizer, path.string());
    } catch (const Error &error) {
      if (why)
        *why = error.what();
      return nullptr;
    }
  }
  if (holdsTokenizer(path))
    return loadTokenizer(path.string());
  if (why)
    *why = "neither tokenizer.json nor tokenizer.model is there";
  return nullptr;
}

std::shared_ptr<const GpuMonitor> monitorOf(const Executable &executable) {
  if (!isCudaTarget(executable.message().target()))
    return nullptr;
  try {
    return std::make_shared<GpuMonitor>(CudaDriver::system().busId());
  } catch (const Error &error) {
    if (knobs::logLevel() != knobs::LogLevel::Quiet)
      fmt::print(stderr, "metrics tell nothing of the GPU: {}\n", error.what());
    return nullptr;
  }
}

/// Any bytes as readable text.
static std::string readable(const std::string &bytes) {
  return nlohmann::json(bytes).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

void requireSameTokens(const LoadedModel &model, const LoadedModel &other) {
  if (!model.tokenizer || !other.tokenizer)
    return;
  int32_t both = std::min(model.tokenizer->vocabSize(), other.tokenizer->vocabSize());
  for (int32_t id = 0; id < both; ++id)
    if (std::string a = model.tokenizer->tokenBytes(id), b = other.tokenizer->tokenBytes(id);
        a != b)
      fail("token {} is {} in '{}' and {} in '{}': the models have different vocabularies", id,
           readable(a), model.info.name, readable(b), other.info.name);
}

std::shared_ptr<const ChatTemplate> chatTemplateOf(const LoadedModel &model, const fs::path &file) {
  std::string config = requireTokenizer(model).serializeConfig();
  if (file.empty())
    return ChatTemplate::fromConfig(config, model.info.name);
  std::ifstream stream(file, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream)
    fail("'{}': cannot be read", file.string());
  return std::make_shared<const ChatTemplate>(text, config, file.string());
}

const Tokenizer &requireTokenizer(const LoadedModel &model) {
  if (!model.tokenizer)
    fail("'{}' has no tokenizer ({}); give token ids instead of text", model.info.name,
         model.noTokenizer);
  return *model.tokenizer;
}

} // namespace lmc
