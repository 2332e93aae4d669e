#include "ir/Dialect.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include "ir/Dialect.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "ir/Attributes.cpp.inc"

#include "ir/Interfaces.cpp.inc"

#define GET_OP_CLASSES
#include "ir/Ops.cpp.inc"

using namespace mlir;

namespace lmc::lm {

void LMDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "ir/Attributes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "ir/Ops.cpp.inc"
      >();
}

LogicalResult DimsAttr::verifyEncoding(ArrayRef<int64_t> shape, Type,
                                       function_ref<InFlightDiagnostic()> emitError) const {
  size_t symbolic = llvm::count_if(shape, ShapedType::isDynamic);
  if (getNames().size() != symbolic)
    return emitError() << "#lm.dims names " << getNames().size() << " dimensions of a type with "
                       << symbolic << " symbolic ones";
  return success();
}

std::string modelPath(Location loc) {
  if (auto name = dyn_cast<NameLoc>(loc))
    return name.getName().str();
  if (auto fused = dyn_cast<FusedLoc>(loc))
    for (Location part : fused.getLocations())
      if (std::string path = modelPath(part); !path.empty())
        return path;
  if (auto call = dyn_cast<CallSiteLoc>(loc))
    return modelPath(call.getCallee());
  return "";
}

LogicalResult notDifferentiable(Operation *op, StringRef reason) {
  return op->emitError() << "no gradient through '" << modelPath(op->getLoc()) << "' ("
                         << op->getName().getStringRef() << "): " << reason;
}

} // namespace lmc::lm
