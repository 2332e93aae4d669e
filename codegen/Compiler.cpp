#include "codegen/Compiler.h"

#include "codegen/CodeCache.h"
#include "codegen/KernelCompiler.h"
#include "codegen/Placement.h"
#include "codegen/cpu/Kernels.h"
#include "codegen/cpu/Lowering.h"
#include "ir/plan/Plan.h"
#include "passes/MemoryPlan.h"
#include "runtime/Error.h"
#include "runtime/Knobs.h"

#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/raw_ostream.h"

#include <cstring>
#include <xxhash.h>

using namespace mlir;

namespace lmc {
namespace {

namespace proto = lmc::executable;

proto::DType dtypeOf(Type element) {
  if (element.isInteger(1))
    return proto::BOOL;
  if (element.isInteger(8))
    return proto::U8;
  if (auto integer = dyn_cast<IntegerType>(element))
    return integer.getWidth() == 64 ? proto::I64 : proto::I32;
  if (element.isF64())
    return proto::F64;
  if (element.isBF16())
    return proto::BF16;
  if (element.isF16())
    return proto::F16;
  return proto::F32;
}

proto::Role roleOf(StringRef role) {
  return llvm::StringSwitch<proto::Role>(role)
      .Case("parameter", proto::PARAMETER)
      .Case("gradient", proto::GRADIENT)
      .Case("moment", proto::MOMENT)
      .Case("cache", proto::CACHE)
      .Case("input", proto::INPUT)
      .Case("output", proto::OUTPUT)
      .Default(proto::STATE);
}

/// The symbolic dimensions of all programs, numbered. Programs that use one name agree on its
/// range.
class Dimensions {
public:
  explicit Dimensions(ModuleOp module) {
    for (auto program : module.getOps<plan::ProgramOp>())
      for (NamedAttribute named : program.getRanges()) {
        auto range = cast<DenseI64ArrayAttr>(named.getValue());
        auto [at, isNew] = ranges.insert({named.getName().str(), {range[0], range[1]}});
        if (!isNew && at->second != std::pair(range[0], range[1]))
          fail("programs give the symbol '{}' different ranges: [{}, {}] and [{}, {}] in '{}'",
               named.getName().str(), at->second.first, at->second.second, range[0], range[1],
               program.getSymName().str());
      }
    unsigned next = 0;
    for (auto &[name, range] : ranges)
      symbols[name] = {next++, range.second};
  }

  void write(proto::Executable &message) const {
    for (auto &[name, range] : ranges) {
      proto::Dim *dim = message.add_dims();
      dim->set_name(name);
      dim->set_min(range.first);
      dim->set_max(range.second);
    }
  }

  void writeElements(Type type, proto::Extent &extent) const {
    int64_t number = 1;
    for (const lm::Dim &dim : lm::shapeOf(type)) {
      if (dim.isStatic()) {
        number *= dim.size;
        continue;
      }
      auto *factor = extent.add_factors();
      factor->set_dim(static_cast<int>(symbols.at(dim.symbol.getValue()).dim));
      factor->set_mul(1);
      factor->set_div(1);
    }
    auto *factor = extent.add_factors();
    factor->set_dim(-1);
    factor->set_mul(number);
    factor->set_div(1);
  }

  Symbols symbols;

private:
  std::map<std::string, std::pair<int64_t, int64_t>> ranges;
};

class ExecutableWriter {
public:
  ExecutableWriter(ModuleOp module, const CodegenOptions &options)
      : module(module), options(options), dimensions(module) {}

  codegen::CachedProgram write(CompileReport &report) {
    std::unique_ptr<KernelTarget> target = makeTarget(options);
    message.set_format_version(1);
    message.set_target(target->canonical());
    message.set_compiler(kCompilerVersion);
    message.set_options_hash(XXH3_64bits(message.target().data(), message.target().size()));
    addTensors();
    addCode(*target, report);
    for (auto program : module.getOps<plan::ProgramOp>())
      for (plan::LaunchOp launch : addProgram(program))
        addLaunch(*message.mutable_programs()->rbegin(), launch);
    return take();
  }

  /// Nothing but what memory is counted from.
  codegen::CachedProgram writeLayout() {
    if (!options.gpu.empty())
      message.set_target("cuda:" + options.gpu);
    addTensors();
    message.set_scratch_bytes(workerScratchBytes(module, options));
    for (auto program : module.getOps<plan::ProgramOp>())
      addProgram(program);
    return take();
  }

private:
  codegen::CachedProgram take() {
    codegen::CachedProgram result;
    *result.mutable_message() = std::move(message);
    result.set_data(code.data(), code.size());
    return result;
  }

  void addTensors() {
    message.set_mode(options.mode);
    dimensions.write(message);
    for (auto tensor : module.getOps<plan::TensorOp>())
      addTensor(tensor);
  }

  void addTensor(plan::TensorOp op) {
    auto *tensor = message.add_tensors();
    auto type = cast<RankedTensorType>(op.getType());
    std::string name = op.getSymName().str();
    tensorIndex[name] = message.tensors_size() - 1;
    tensor->set_name(name);
    tensor->set_role(roleOf(op.getRole()));
    tensor->set_dtype(dtypeOf(type.getElementType()));
    int64_t bytes = type.getElementTypeBitWidth() < 8 ? 1 : type.getElementTypeBitWidth() / 8;
    for (const lm::Dim &dim : lm::shapeOf(type)) {
      tensor->add_shape(dim.isStatic() ? dim.size : -1);
      if (dim.isStatic()) {
        bytes *= dim.size;
        continue;
      }
      const Symbol &symbol = dimensions.symbols.at(dim.symbol.getValue());
      tensor->add_dims(static_cast<int>(symbol.dim));
      bytes *= symbol.max;
    }
    tensor->set_bytes(bytes);
    if (std::optional<Type> plain = op.getPlain()) {
      for (int64_t extent : cast<RankedTensorType>(*plain).getShape())
        tensor->mutable_packing()->add_shape(extent);
      tensor->mutable_packing()->set_transposed(op.getTransposed());
      tensor->mutable_packing()->set_blocks(op.getBlocks().value_or("").str());
    }
  }

  void addCode(const KernelTarget &target, CompileReport &report) {
    int64_t scratch = 0;
    kernels = compileKernels(module, dimensions.symbols, target, options, report);
    std::vector<KernelTarget::Linked> linked;
    message.mutable_kernels()->Reserve(static_cast<int>(kernels.size())); // linked points into it
    for (auto [compiled, kernel] : llvm::zip_equal(kernels, module.getOps<plan::KernelOp>())) {
      kernelIndex[kernel.getSymName()] = message.kernels_size();
      auto *entry = message.add_kernels();
      const codegen::CachedKernel &made = compiled.code;
      entry->set_symbol(compiled.symbol);
      entry->set_family(kernel.getFamily().str());
      entry->set_scratch_bytes(alignedBytes(made.scratch_bytes()));
      entry->set_flops(made.flops());
      entry->set_block_threads(made.block_threads());
      entry->set_shared_bytes(made.shared_bytes());
      entry->set_addresses(made.addresses());
      *entry->mutable_dims() = made.dims();
      *entry->mutable_tensor_maps() = made.tensor_maps();
      if (made.has_library())
        *entry->mutable_library() = made.library();
      entry->set_no_library(made.no_library());
      scratch = std::max(scratch, alignedBytes(made.scratch_bytes()));
      linked.push_back({&made.object(), entry});
    }
    auto start = std::chrono::steady_clock::now();
    code = target.link(linked);
    report.linkSeconds = secondsSince(start);
    message.set_code_offset(0);
    message.set_code_bytes(code.size());
    message.set_code_checksum(XXH3_64bits(code.data(), code.size()));
    message.set_scratch_bytes(scratch);
  }

  /// The program with its buffers; returns its launches, which need code.
  SmallVector<plan::LaunchOp> addProgram(plan::ProgramOp op) {
    auto *program = message.add_programs();
    program->set_name(op.getSymName().str());
    program->set_transient_bytes(op.getTransientBytes());
    message.set_transient_bytes(
        std::max<uint64_t>(message.transient_bytes(), op.getTransientBytes()));
    bufferIndex.clear();
    SmallVector<plan::LaunchOp> launches;
    llvm::DenseSet<unsigned> inputs, outputs;
    for (Operation &inner : op.getBody().front()) {
      if (auto launch = dyn_cast<plan::LaunchOp>(inner)) {
        launches.push_back(launch);
        continue;
      }
      bufferIndex[inner.getResult(0)] = program->buffers_size();
      addBuffer(*program, &inner);
      const auto &buffer = program->buffers(program->buffers_size() - 1);
      if (buffer.segment() != proto::Buffer::TENSOR)
        continue;
      if (buffer.role() == proto::INPUT && inputs.insert(buffer.tensor()).second)
        program->add_inputs(buffer.tensor());
      if (buffer.role() == proto::OUTPUT && outputs.insert(buffer.tensor()).second)
        program->add_outputs(buffer.tensor());
    }
    return launches;
  }

  void addBuffer(proto::Program &program, Operation *op) {
    auto *buffer = program.add_buffers();
    auto type = cast<plan::BufferType>(op->getResult(0).getType()).getTensor();
    buffer->set_path(lm::modelPath(op->getLoc()));
    buffer->set_dtype(dtypeOf(type.getElementType()));
    dimensions.writeElements(type, *buffer->mutable_elements());
    if (auto temporary = dyn_cast<plan::TemporaryOp>(op)) {
      buffer->set_segment(proto::Buffer::TRANSIENT);
      buffer->set_offset(temporary.getOffset());
      buffer->set_bytes(temporary.getSize());
      buffer->set_role(proto::ACTIVATION);
      return;
    }
    auto use = cast<plan::UseOp>(op);
    unsigned tensor = tensorIndex.at(use.getTensor().str());
    buffer->set_segment(proto::Buffer::TENSOR);
    buffer->set_tensor(tensor);
    buffer->set_offset(use.getOffset());
    // Views of a part have static shapes; symbols may have other ranges in other programs.
    buffer->set_bytes(type.hasStaticShape() ? largestBytes(type, {})
                                            : message.tensors(static_cast<int>(tensor)).bytes());
    buffer->set_role(message.tensors(static_cast<int>(tensor)).role());
  }

  void addLaunch(proto::Program &program, plan::LaunchOp op) {
    auto *launch = program.add_launches();
    unsigned kernel = kernelIndex.lookup(op.getKernel());
    const codegen::CachedKernel &code = kernels[kernel].code;
    launch->set_kernel(kernel);
    for (Value input : op.getInputs())
      launch->add_buffers(bufferIndex.at(input));
    launch->set_num_inputs(op.getInputs().size());
    for (Value output : op.getOutputs())
      launch->add_buffers(bufferIndex.at(output));
    launch->set_grain(code.grain());
    for (const auto &item : code.items()) {
      auto *factor = launch->mutable_items()->add_factors();
      factor->set_dim(item.dim());
      factor->set_mul(item.mul());
      factor->set_div(item.div());
    }
    for (Attribute name : op->getAttrOfType<ArrayAttr>("ops"))
      launch->add_output_ops(cast<StringAttr>(name).str());
    for (Attribute path : op->getAttrOfType<ArrayAttr>("paths"))
      launch->add_output_paths(cast<StringAttr>(path).str());
    launch->set_path(lm::modelPath(op.getLoc()));
  }

  ModuleOp module;
  const CodegenOptions &options;
  Dimensions dimensions;
  proto::Executable message;
  std::vector<std::byte> code;
  std::map<std::string, unsigned> tensorIndex;
  llvm::StringMap<unsigned> kernelIndex;
  llvm::DenseMap<Value, unsigned> bufferIndex; // of the latest program
  std::vector<CompiledKernel> kernels;
};

/// Everything that decides what the pipeline and code generation make of the programs.
std::string programText(ModuleOp programs, const PipelineOptions &pipeline,
                        const CodegenOptions &options) {
  std::string text =
      fmt::format("{}\n{}\n{}\n{}\n", kCompilerVersion, makeTarget(options)->identity(),
                  options.mode, canonicalOptions(pipeline));
  llvm::raw_string_ostream stream(text);
  programs->print(stream, OpPrintingFlags().enableDebugInfo()); // model paths are part of a plan
  return text;
}

/// The executable with everything that two runs of the same programs may have different.
std::shared_ptr<const Executable> finish(codegen::CachedProgram program,
                                         const std::map<std::string, std::string> &metadata,
                                         const ParameterData &parameters, int jobs) {
  proto::Executable message = std::move(*program.mutable_message());
  for (auto &[key, value] : metadata)
    (*message.mutable_metadata())[key] = value;
  const auto *begin = reinterpret_cast<const std::byte *>(program.data().data());
  DataSection data(begin, begin + program.data().size());
  placeTensors(message, data, parameters, jobs);
  return std::make_shared<Executable>(std::move(message), std::move(data));
}

} // namespace

std::shared_ptr<const Executable> planExecutable(ModuleOp plan, const CodegenOptions &options) {
  return finish(ExecutableWriter(plan, options).writeLayout(), {}, {}, 1);
}

int64_t workerScratchBytes(ModuleOp plan, const CodegenOptions &options) {
  if (!options.gpu.empty())
    return alignedBytes(libraryScratchBytes(plan, options));
  return alignedBytes(
      largestScratch(plan, Dimensions(plan).symbols, *makeTarget(options), options));
}

std::shared_ptr<const Executable>
buildExecutable(ModuleOp plan, const CodegenOptions &options,
                const std::map<std::string, std::string> &metadata, const ParameterData &parameters,
                CompileReport *report) {
  CompileReport unused;
  return finish(ExecutableWriter(plan, options).write(report ? *report : unused), metadata,
                parameters, options.jobs);
}

std::shared_ptr<const Executable>
compilePrograms(ModuleOp programs, const PipelineOptions &pipeline, const CodegenOptions &options,
                const std::map<std::string, std::string> &metadata, const ParameterData &parameters,
                CompileReport *report) {
  CompileReport unused, &used = report ? *report : unused;
  // Whoever asks for what the passes say or leave behind wants them to run.
  bool watched = pipeline.explainFusion || pipeline.explainMemory || !pipeline.dumpFolder.empty() ||
                 !pipeline.stopAfter.empty();
  auto folder = options.useCache && !watched ? knobs::cacheFolder() : std::nullopt;
  CodeCache cache(folder);
  std::string hash = folder ? contentHash(programText(programs, pipeline, options)) : "";
  codegen::CachedProgram program;
  if (cache.find("programs", hash, program)) {
    used.programsCached = true;
    used.kernels = used.cached = program.message().kernels_size();
    return finish(std::move(program), metadata, parameters, options.jobs);
  }
  runPipeline(programs, pipeline);
  program = ExecutableWriter(programs, options).write(used);
  if (used.warnings == 0) // found in the cache, it would not warn again
    cache.keep("programs", hash, program);
  return finish(std::move(program), metadata, parameters, options.jobs);
}

std::string printCode(ModuleOp plan, const CodegenOptions &options, bool assembly) {
  cpu::Target target = cpu::Target::named(options.cpu);
  Dimensions dimensions(plan);
  OwningOpRef<ModuleOp> module = ModuleOp::create(UnknownLoc::get(plan.getContext()));
  cpu::Emit emit(*module, target);
  for (auto kernel : plan.getOps<plan::KernelOp>())
    cpu::emitKernel(emit, kernel, dimensions.symbols, kernel.getSymName());
  return assembly ? cpu::emitAssembly(*module, target) : cpu::emitLLVM(*module, target);
}

} // namespace lmc
