#ifndef LMC_IR_OPS_BASE_TD
#define LMC_IR_OPS_BASE_TD

include "ir/Dialect.td"
include "ir/Interfaces.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

// Every op on tensors. Without inference the result type is written by whoever builds the op.
class LM_Op<string mnemonic, list<Trait> traits = []>
    : Op<LM_Dialect, mnemonic,
         !listconcat([Pure, DeclareOpInterfaceMethods<LM_TensorOp>], traits)> {
  let assemblyFormat = "operands attr-dict `:` functional-type(operands, results)";
}

// Result types follow from the operands and attributes; the verifier checks what was written.
// `more` is declared in the op's class, too.
class LM_InferredOp<string mnemonic, list<Trait> traits = [], string more = "">
    : LM_Op<mnemonic, !listconcat([DeclareOpInterfaceMethods<InferTypeOpInterface>], traits)> {
  // The rule itself, free of MLIR's long signature; `inferReturnTypes` calls it.
  let extraClassDeclaration = [{
    static ::llvm::LogicalResult infer(Adaptor op, std::optional<::mlir::Location> loc,
                                       ::llvm::SmallVectorImpl<::mlir::Type> &types);
  }] # more;
  let extraClassDefinition = [{
    ::llvm::LogicalResult $cppClass::inferReturnTypes(
        ::mlir::MLIRContext *, std::optional<::mlir::Location> loc, ::mlir::ValueRange operands,
        ::mlir::DictionaryAttr attributes, ::mlir::OpaqueProperties properties,
        ::mlir::RegionRange regions, ::llvm::SmallVectorImpl<::mlir::Type> &types) {
      return infer(Adaptor(operands, attributes, properties, regions), loc, types);
    }
  }];
}

class LM_Composite<string mnemonic, list<Trait> traits = []>
    : LM_InferredOp<mnemonic, !listconcat([DeclareOpInterfaceMethods<LM_CompositeOp>], traits)>;

class LM_Pointwise<string mnemonic, list<Trait> traits = []>
    : LM_InferredOp<mnemonic, !listconcat([DeclareOpInterfaceMethods<LM_PointwiseOp>], traits)>;

def LM_Tensor : RankedTensorOf<[F16, BF16, F32, F64, I1, I8, I32, I64]>;
def LM_Number : RankedTensorOf<[F16, BF16, F32, F64, I32, I64]>;
def LM_Float : RankedTensorOf<[F16, BF16, F32, F64]>;
def LM_Cache : RankedTensorOf<[F16, BF16, F32, F64, I8]>; // bytes: rows of ir/CacheRows.h
def LM_Ids : RankedTensorOf<[I32]>;
def LM_Mask : RankedTensorOf<[I1]>;

#endif
