#include "passes/Retype.h"

using namespace mlir;

namespace lmc {

void updateSignature(func::FuncOp function) {
  Block &body = function.getBody().front();
  function.setType(FunctionType::get(function.getContext(), body.getArgumentTypes(),
                                     body.getTerminator()->getOperandTypes()));
}

RankedTensorType withElement(Type type, Type element) {
  return cast<RankedTensorType>(type).clone(element);
}

void retypeCache(lm::CacheAppendOp append, RankedTensorType type, Value update) {
  append.getCache().setType(type);
  append.getUpdateMutable().assign(update);
  append.getY().setType(type);
}

} // namespace lmc
