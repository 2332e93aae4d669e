// The lm dialect: a model as a graph of tensor values.
#ifndef LMC_IR_DIALECT_TD
#define LMC_IR_DIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/TensorEncoding.td"

def LM_Dialect : Dialect {
  let name = "lm";
  let cppNamespace = "::lmc::lm";
  let summary = "Language models as differentiable tensor graphs";
  let description = [{
    Values are builtin ranked tensors. A dimension is a number or a symbol; the
    names of the symbolic ones stand in the type's encoding:
    `tensor<1x?x64xf32, #lm.dims<"T">>`. Ranges of symbols are declared on the
    function: `lm.ranges = {T = [1, 128]}`.

    *Primitives* are what kernels are made of; *composites* decompose into
    primitives. Every op says how it is evaluated, how its adjoint is built and,
    where it is pointwise, what it does to one element; see `ir/Interfaces.td`.
  }];
  let useDefaultAttributePrinterParser = 1;
  let hasConstantMaterializer = 0;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::math::MathDialect"]; // scalar forms
}

def LM_DimsAttr : AttrDef<LM_Dialect, "Dims", [DeclareAttrInterfaceMethods<VerifiableTensorEncoding>]> {
  let mnemonic = "dims";
  let summary = "names of a tensor type's symbolic dimensions, outermost first";
  let parameters = (ins ArrayRefParameter<"::mlir::StringAttr">:$names);
  let assemblyFormat = "`<` $names `>`";
}

#endif
