#include "ir/Dialect.h"

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
