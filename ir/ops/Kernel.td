// What one launch computes, as a region of primitives.
#ifndef LMC_IR_OPS_KERNEL_TD
#define LMC_IR_OPS_KERNEL_TD
include "ir/ops/Base.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"

def LM_KernelOp : LM_Op<"kernel", [IsolatedFromAbove, SingleBlockImplicitTerminator<"YieldOp">]> {
  let summary = "a region that one launch computes";
  let description = [{
    `family` names the scheduler and emitter: view, map, row, column, matmul, attention, gather,
    scatter, cache. Block arguments are the operands; `lm.yield` gives the results. `segments`: the
    region is several kernels over different tensors, one after the other, which have nothing to do
    with each other (`ir/Segments.h`).
  }];
  let arguments = (ins Variadic<LM_Tensor>:$inputs, StrAttr:$family, OptionalAttr<DenseI64ArrayAttr>:$segments);
  let results = (outs Variadic<LM_Tensor>:$outputs);
  let regions = (region SizedRegion<1>:$body);
  let builders = [OpBuilder<(ins "::mlir::TypeRange":$outputs, "::mlir::ValueRange":$inputs, "::llvm::StringRef":$family), [{
    build($_builder, $_state, outputs, inputs, family, ::mlir::DenseI64ArrayAttr());
  }]>];
  let assemblyFormat = "$family `(` $inputs `)` attr-dict `:` functional-type($inputs, $outputs) $body";
  let hasVerifier = 1;
}

def LM_YieldOp : Op<LM_Dialect, "yield", [Pure, Terminator, ReturnLike, ParentOneOf<["KernelOp"]>]> {
  let summary = "what a kernel stores";
  let arguments = (ins Variadic<LM_Tensor>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
  let builders = [OpBuilder<(ins), [{ }]>];
}

#endif
