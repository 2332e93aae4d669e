// The plan dialect: buffers at offsets and launches in order. What an executable stores.
#ifndef LMC_IR_PLAN_TD
#define LMC_IR_PLAN_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/BuiltinAttributes.td"
include "mlir/IR/OpBase.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def Plan_Dialect : Dialect {
  let name = "plan";
  let cppNamespace = "::lmc::plan";
  let summary = "Programs as flat lists of launches over buffers at known offsets";
  let useDefaultTypePrinterParser = 1;
}

class Plan_Op<string mnemonic, list<Trait> traits = []> : Op<Plan_Dialect, mnemonic, traits>;

def Plan_BufferType : TypeDef<Plan_Dialect, "Buffer"> {
  let mnemonic = "buffer";
  let summary = "memory that holds a tensor, row-major, at the tensor's current extents";
  let parameters = (ins "::mlir::RankedTensorType":$tensor);
  let assemblyFormat = "`<` $tensor `>`";
}

def Plan_TensorOp : Plan_Op<"tensor", [Symbol]> {
  let summary = "a named tensor that outlives a run";
  let description = [{
    `role` is parameter, gradient, moment, cache, input, output or state; `offset` counts bytes in
    the state region, for caches in one slot. `plain`: the type is panels (`ir/Panels.h`) of this
    matrix, [depth, columns], or [columns, depth] where `transposed`; with `blocks` they are bytes of
    that block format (`ir/BlockPanels.h`), and there may be a matrix for each expert in front.
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$role, TypeAttrOf<AnyRankedTensor>:$type,
                       I64Attr:$offset, OptionalAttr<TypeAttrOf<AnyRankedTensor>>:$plain,
                       UnitAttr:$transposed, OptionalAttr<StrAttr>:$blocks);
  let assemblyFormat = "$sym_name $role $type `at` $offset attr-dict";
}

def Plan_KernelOp : Plan_Op<"kernel", [Symbol, IsolatedFromAbove]> {
  let summary = "what a launch computes: a region of lm primitives, shared by equal launches";
  let description = [{ `segments` as `lm.kernel` has them. }];
  let arguments = (ins SymbolNameAttr:$sym_name, StrAttr:$family, OptionalAttr<DenseI64ArrayAttr>:$segments);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name $family attr-dict-with-keyword $body";
}

def Plan_YieldOp : Plan_Op<"yield", [Pure, Terminator, ReturnLike, ParentOneOf<["KernelOp"]>]> {
  let summary = "what a kernel stores";
  let arguments = (ins Variadic<AnyRankedTensor>:$values);
  let assemblyFormat = "($values^ `:` type($values))? attr-dict";
}

// No symbol (whose attribute is sym_name): nobody refers to a program, and a tensor may have its name
// (@loss returns "loss").
def Plan_ProgramOp : Plan_Op<"program", [NoTerminator]> {
  let summary = "launches in the order in which they run";
  let description = [{
    `transient_bytes` is the size of the region for values that live inside one run; `ranges` bounds
    the symbolic dimensions, `{T = array<i64: 1, 128>}`.
  }];
  let arguments = (ins SymbolNameAttr:$program_name, I64Attr:$transient_bytes, DictionaryAttr:$ranges);
  let regions = (region SizedRegion<1>:$body);
  let extraClassDeclaration = [{
    ::llvm::StringRef getSymName() { return getProgramName(); } // as the other named ops have it
  }];
  let assemblyFormat = "$program_name `transient` `=` $transient_bytes `ranges` `=` $ranges attr-dict-with-keyword $body";
}

def Plan_UseOp : Plan_Op<"use", [Pure]> {
  let summary = "the buffer of a named tensor, or from `offset` bytes on, where a view begins";
  let arguments = (ins FlatSymbolRefAttr:$tensor, DefaultValuedAttr<I64Attr, "0">:$offset);
  let results = (outs Plan_BufferType:$buffer);
  let assemblyFormat = "$tensor (`at` $offset^)? attr-dict `:` type($buffer)";
}

def Plan_TemporaryOp : Plan_Op<"temporary", [Pure]> {
  let summary = "bytes [offset, offset + size) of the transient region";
  let arguments = (ins I64Attr:$offset, I64Attr:$size);
  let results = (outs Plan_BufferType:$buffer);
  let assemblyFormat = "`at` $offset `size` $size attr-dict `:` type($buffer)";
}

def Plan_LaunchOp : Plan_Op<"launch", [AttrSizedOperandSegments]> {
  let summary = "runs a kernel: reads inputs, writes outputs; buffers may be the same memory";
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<Plan_BufferType>:$inputs,
                       Variadic<Plan_BufferType>:$outputs);
  let assemblyFormat = [{
    $kernel `(` $inputs `)` `->` `(` $outputs `)` attr-dict `:`
    `(` type($inputs) `)` `->` `(` type($outputs) `)`
  }];
}

#endif
