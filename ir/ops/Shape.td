// Primitives that move elements without computing: index maps in kernels, or no work at all.
#ifndef LMC_IR_OPS_SHAPE_TD
#define LMC_IR_OPS_SHAPE_TD
include "ir/ops/Base.td"

def LM_ConstantOp : LM_InferredOp<"constant", [ConstantLike]> {
  let summary = "a tensor known at compile time";
  let arguments = (ins ElementsAttr:$value);
  let results = (outs LM_Tensor:$y);
  let hasFolder = 1;
  let assemblyFormat = "attr-dict $value";
}

def LM_IotaOp : LM_Op<"iota"> {
  let summary = "y[i0, i1, ...] = i_dim";
  let arguments = (ins I64Attr:$dim);
  let results = (outs LM_Tensor:$y);
  let hasVerifier = 1;
}

def LM_BroadcastOp : LM_Op<"broadcast"> {
  let summary = "repeats x along new or unit dimensions";
  let description = [{
    Dimension i of `x` becomes dimension `dims[i]` of `y`; it has that extent, or extent 1 and is
    repeated. `dims` rises strictly.
  }];
  let arguments = (ins LM_Tensor:$x, DenseI64ArrayAttr:$dims);
  let results = (outs LM_Tensor:$y);
  let hasVerifier = 1;
  let hasFolder = 1;
}

def LM_ReshapeOp : LM_Op<"reshape"> {
  let summary = "the same elements in the same order under another shape; no work at run time";
  let arguments = (ins LM_Tensor:$x);
  let results = (outs LM_Tensor:$y);
  let hasVerifier = 1;
  let hasFolder = 1;
}

def LM_TransposeOp : LM_InferredOp<"transpose"> {
  let summary = "dimension i of y is dimension permutation[i] of x";
  let arguments = (ins LM_Tensor:$x, DenseI64ArrayAttr:$permutation);
  let results = (outs LM_Tensor:$y);
  let hasFolder = 1;
}

def LM_SliceOp : LM_InferredOp<"slice"> {
  let summary = "elements [start, start + size) of one dimension";
  let arguments = (ins LM_Tensor:$x, I64Attr:$dim, I64Attr:$start, I64Attr:$size);
  let results = (outs LM_Tensor:$y);
  let hasFolder = 1;
}

def LM_ConcatOp : LM_InferredOp<"concat"> {
  let summary = "operands one after the other along one dimension of static extents";
  let arguments = (ins Variadic<LM_Tensor>:$xs, I64Attr:$dim);
  let results = (outs LM_Tensor:$y);
}

#endif
