#include "codegen/cpu/Lowering.h"

#include "codegen/cpu/VectorMath.h"
#include "runtime/Error.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVM.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlowOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Dialect/Vector/Transforms/LoweringPatterns.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/DialectConversion.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/PassManager.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/raw_ostream.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Transforms/InstCombine/InstCombine.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"
#include "llvm/Transforms/Scalar/LICM.h"
#include "llvm/Transforms/Scalar/LoopPassManager.h"
#include "llvm/Transforms/Scalar/SimplifyCFG.h"

using namespace mlir;

namespace lmc::cpu {
namespace {

/// Collects what MLIR reports while it lives, as the text of an Error.
class CollectedDiagnostics {
public:
  explicit CollectedDiagnostics(MLIRContext *context)
      : handler(context, [this](Diagnostic &diagnostic) {
          llvm::raw_string_ostream stream(text);
          stream << (text.empty() ? "" : "\n") << diagnostic.getLocation() << ": " << diagnostic;
          return success();
        }) {}

  std::string text;

private:
  ScopedDiagnosticHandler handler;
};

void convertToLLVMDialect(ModuleOp module) {
  MLIRContext *context = module.getContext();
  CollectedDiagnostics diagnostics(context);
  auto check = [&](LogicalResult result, const char *phase) {
    if (failed(result))
      fail("cannot lower a CPU kernel ({}): {}", phase, diagnostics.text);
  };
  check(verify(module), "verify");
  {
    RewritePatternSet patterns(context);
    populateSCFToControlFlowConversionPatterns(patterns);
    ConversionTarget legal(*context);
    legal.addIllegalDialect<scf::SCFDialect>();
    legal.markUnknownOpDynamicallyLegal([](Operation *) { return true; });
    check(applyPartialConversion(module, legal, std::move(patterns)), "control flow");
  }
  LowerToLLVMOptions options(context);
  LLVMTypeConverter types(context, options);
  RewritePatternSet patterns(context);
  arith::populateArithToLLVMConversionPatterns(types, patterns);
  populateMathToLLVMConversionPatterns(types, patterns);
  cf::populateControlFlowToLLVMConversionPatterns(types, patterns);
  vector::populateVectorBroadcastLoweringPatterns(patterns);
  populateVectorToLLVMConversionPatterns(types, patterns);
  LLVMConversionTarget legal(*context);
  legal.addLegalOp<ModuleOp>();
  check(applyFullConversion(module, legal, std::move(patterns)), "to the llvm dialect");
}

/// Intrinsics without an instruction become library calls, which a code object cannot make.
void refuseLibraryCalls(ModuleOp module) {
  module.walk([](Operation *op) {
    if (isa<LLVM::ExpOp, LLVM::Exp2Op, LLVM::LogOp, LLVM::Log2Op, LLVM::Log10Op, LLVM::SinOp,
            LLVM::CosOp, LLVM::PowOp, LLVM::PowIOp, LLVM::FRemOp, LLVM::RoundOp>(op)) {
      std::string where;
      llvm::raw_string_ostream(where) << op->getLoc();
      fail("CPU kernel at {}: {} has no instruction on any processor; expand it before lowering",
           where, op->getName().getStringRef().str());
    }
  });
}

/// Little is left to optimise: the generators place loads, unroll and fuse themselves. The short
/// pipeline removes what index arithmetic and fused bodies repeat.
void optimise(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder passes(&machine);
  passes.registerModuleAnalyses(modules);
  passes.registerCGSCCAnalyses(graph);
  passes.registerFunctionAnalyses(functions);
  passes.registerLoopAnalyses(loops);
  passes.crossRegisterProxies(loops, functions, graph, modules);
  llvm::FunctionPassManager pipeline;
  pipeline.addPass(llvm::EarlyCSEPass(/*UseMemorySSA=*/false));
  pipeline.addPass(llvm::InstCombinePass());
  pipeline.addPass(llvm::SimplifyCFGPass());
  pipeline.addPass(llvm::createFunctionToLoopPassAdaptor(llvm::LICMPass(llvm::LICMOptions()),
                                                         /*UseMemorySSA=*/true));
  pipeline.addPass(llvm::EarlyCSEPass(/*UseMemorySSA=*/false));
  for (llvm::Function &function : module)
    if (!function.isDeclaration())
      pipeline.run(function, functions);
}

llvm::SmallVector<char, 0> generate(llvm::Module &module, const Target &target,
                                    llvm::CodeGenFileType type) {
  std::unique_ptr<llvm::TargetMachine> machine = target.createMachine();
  llvm::SmallVector<char, 0> output;
  llvm::raw_svector_ostream stream(output);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, type))
    fail("the code generator of '{}' cannot write this kind of file", target.triple);
  passes.run(module);
  return output;
}

void refuseUndefinedSymbols(llvm::MemoryBufferRef buffer) {
  auto object = llvm::object::ObjectFile::createObjectFile(buffer);
  if (!object)
    fail("compiled kernel is not a valid object: {}", llvm::toString(object.takeError()));
  for (const llvm::object::SymbolRef &symbol : (*object)->symbols()) {
    auto flags = symbol.getFlags();
    auto name = symbol.getName();
    if (!flags || !name)
      fail("compiled kernel has a broken symbol table");
    if ((*flags & llvm::object::SymbolRef::SF_Undefined) && !name->empty())
      fail("CPU kernel needs '{}' from a library; expand the op before lowering", name->str());
  }
}

} // namespace

std::unique_ptr<llvm::Module> toLLVM(ModuleOp kernels, const Target &target,
                                     llvm::LLVMContext &context) {
  OwningOpRef<ModuleOp> module(kernels.clone());
  expandMath(*module, target);
  convertToLLVMDialect(*module);
  refuseLibraryCalls(*module);

  DialectRegistry translations;
  registerBuiltinDialectTranslation(translations);
  registerLLVMDialectTranslation(translations);
  kernels.getContext()->appendDialectRegistry(translations);
  CollectedDiagnostics diagnostics(kernels.getContext());
  std::unique_ptr<llvm::Module> result = translateModuleToLLVMIR(*module, context, "kernels");
  if (!result)
    fail("cannot translate CPU kernels to LLVM IR: {}", diagnostics.text);

  std::unique_ptr<llvm::TargetMachine> machine = target.createMachine();
  result->setTargetTriple(target.triple);
  result->setDataLayout(machine->createDataLayout());
  for (llvm::Function &function : *result) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", target.cpu);
    function.addFnAttr("target-features", target.features);
    // Cores that lower their clock for 512-bit work make LLVM prefer 256 bits; the kernels are
    // tiled for full registers.
    function.addFnAttr("prefer-vector-width", std::to_string(target.vectorBits));
    function.addFnAttr("min-legal-vector-width", std::to_string(target.vectorBits));
    function.addFnAttr("no-builtins");
    function.addFnAttr(llvm::Attribute::NoUnwind); // no unwind tables
  }
  optimise(*result, *machine);
  return result;
}

std::string emitLLVM(ModuleOp kernels, const Target &target) {
  llvm::LLVMContext context;
  std::string text;
  llvm::raw_string_ostream stream(text);
  toLLVM(kernels, target, context)->print(stream, nullptr);
  return text;
}

std::string emitAssembly(ModuleOp kernels, const Target &target) {
  llvm::LLVMContext context;
  auto text =
      generate(*toLLVM(kernels, target, context), target, llvm::CodeGenFileType::AssemblyFile);
  return std::string(text.begin(), text.end());
}

Bytes compileObject(ModuleOp kernels, const Target &target) {
  llvm::LLVMContext context;
  auto object =
      generate(*toLLVM(kernels, target, context), target, llvm::CodeGenFileType::ObjectFile);
  refuseUndefinedSymbols(
      llvm::MemoryBufferRef(llvm::StringRef(object.data(), object.size()), "kernels"));
  auto first = reinterpret_cast<const std::byte *>(object.data());
  return Bytes(first, first + object.size());
}

} // namespace lmc::cpu
