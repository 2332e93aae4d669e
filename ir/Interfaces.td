// What every op must say of itself. A base class in ops/Base.td declares these for each op, so that
// a forgotten rule does not link.
#ifndef LMC_IR_INTERFACES_TD
#define LMC_IR_INTERFACES_TD

include "mlir/IR/OpBase.td"

def LM_TensorOp : OpInterface<"TensorOp"> {
  let cppNamespace = "::lmc::lm";
  let description = [{ The rules of an op on tensors: reference evaluation and adjoint. }];
  let methods = [
    InterfaceMethod<[{
        Reference evaluation in float64. `operands` have the shapes of the operand types with
        symbols bound; results are appended. No rounding to the element type is done.
      }], "::llvm::LogicalResult", "evaluate",
      (ins "::llvm::ArrayRef<const ::lmc::lm::Tensor *>":$operands,
           "::llvm::SmallVectorImpl<::lmc::lm::Tensor> &":$results)>,
    InterfaceMethod<[{
        Builds the cotangents of the operands from those of the results. An entry of `dResults` is
        null where nothing flows back; entries set in `dOperands` (one per operand, null at entry)
        have their operand's type; null says that the operand takes no gradient (ids, masks).
        Fails after emitError where the op is not differentiable.
      }], "::llvm::LogicalResult", "adjoint",
      (ins "::lmc::lm::GraphBuilder &":$g, "::mlir::ValueRange":$dResults,
           "::llvm::MutableArrayRef<::mlir::Value>":$dOperands)>,
  ];
}

def LM_PointwiseOp : OpInterface<"PointwiseOp"> {
  let cppNamespace = "::lmc::lm";
  let description = [{ One element of the result from one element of each operand. }];
  let methods = [
    InterfaceMethod<[{
        The op on scalars or on vectors of scalars, in `arith` and `math`: the only form that the
        CPU vectoriser, the CUDA printer, the evaluator and fusion use. `resultType` is the scalar
        or vector type of the result.
      }], "::mlir::Value", "scalarForm",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc, "::mlir::ValueRange":$args,
           "::mlir::Type":$resultType)>,
  ];
}

def LM_CompositeOp : OpInterface<"CompositeOp"> {
  let cppNamespace = "::lmc::lm";
  let description = [{ An op that is a short graph of others. }];
  let methods = [
    InterfaceMethod<[{ Builds the op from others and returns what replaces its results. }],
      "::llvm::SmallVector<::mlir::Value>", "decompose", (ins "::lmc::lm::GraphBuilder &":$g)>,
  ];
}

#endif
