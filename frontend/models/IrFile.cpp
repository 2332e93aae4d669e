#include "frontend/models/IrFile.h"

#include "ir/Dialect.h"
#include "ir/ProgramAttributes.h"
#include "runtime/Error.h"

#include "mlir/Parser/Parser.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;

namespace lmc {
namespace {

std::string placeOf(Location loc, const std::string &file) {
  if (auto at = dyn_cast<FileLineColLoc>(loc))
    return fmt::format("{}:{}:{}", at.getFilename().str(), at.getLine(), at.getColumn());
  return file;
}

/// Marks that later passes and the runtime rely on.
void check(func::FuncOp function, const std::string &file) {
  std::string where = placeOf(function.getLoc(), file);
  if (function.isExternal() || !function.getBody().hasOneBlock())
    fail("{}: @{} needs a body of one block", where, function.getName().str());
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    auto role = function.getArgAttrOfType<StringAttr>(i, kRole);
    if (!role || !function.getArgAttrOfType<StringAttr>(i, kName))
      fail("{}: argument {} of @{} needs {} and {}", where, i, function.getName().str(),
           kRole.str(), kName.str());
    if (!isa<RankedTensorType>(function.getArgumentTypes()[i]))
      fail("{}: argument {} of @{} is no ranked tensor", where, i, function.getName().str());
  }
  for (Operation &op : function.getBody().front())
    if (!isa<lm::LMDialect, func::FuncDialect>(op.getDialect()))
      fail("{}: '{}' is not an op of the lm dialect", placeOf(op.getLoc(), file),
           op.getName().getStringRef().str());
}

} // namespace

OwningOpRef<ModuleOp> readIrFile(MLIRContext &context, const std::filesystem::path &file,
                                 const ProgramOptions &options) {
  std::string name = file.string(), message;
  auto buffer = llvm::MemoryBuffer::getFile(name, /*IsText=*/true);
  if (!buffer)
    fail("{}: {}", name, buffer.getError().message());
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    if (message.empty() && diagnostic.getSeverity() == DiagnosticSeverity::Error)
      message = fmt::format("{}: {}", placeOf(diagnostic.getLocation(), name), diagnostic.str());
    return success();
  });
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(*buffer), llvm::SMLoc());
  auto module = parseSourceFile<ModuleOp>(sources, &context);
  if (!module)
    fail("{}", message.empty() ? name + ": not a module in the lm dialect" : message);

  for (auto function : module->getOps<func::FuncOp>())
    check(function, name);
  auto loss = module->lookupSymbol<func::FuncOp>("loss");
  if (options.training && !loss)
    fail("{}: no function @loss; training needs one", name);
  if (options.inference && !module->lookupSymbol<func::FuncOp>("forward"))
    fail("{}: no function @forward; inference needs one", name);
  if (options.training && !module->lookupSymbol<func::FuncOp>("eval")) {
    auto eval = cast<func::FuncOp>(loss->clone());
    eval.setName("eval");
    module->insert(std::next(Block::iterator(loss)), eval);
  }
  parametersOf(*module); // throws where functions disagree
  return module;
}

} // namespace lmc
