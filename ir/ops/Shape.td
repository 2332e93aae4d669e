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

def LM_SkewOp : LM_Op<"skew"> {
  let summary = "y[..., i, ..., j, ...] = x[..., (i * step + j * slope + start) / every, ..., j, ...]";
  let description = [{
    i is the index of dimension `dim`, j that of dimension `by`. Where the division leaves a remainder
    or the place lies outside of x, y is 0, or the lowest number with `outside = "lowest"`. The extent of
    `dim` may differ between x and y, all others are the same. Windows over a dimension (size K, stride
    s, dilation d, p elements of padding in front) are x repeated K times behind the dimension and then
    read with step s, slope d, start -p. Its adjoint is a skew: step and every exchanged, slope and
    start negative.
  }];
  let arguments = (ins LM_Number:$x, I64Attr:$dim, I64Attr:$by, DefaultValuedAttr<I64Attr, "1">:$step,
                       DefaultValuedAttr<I64Attr, "0">:$slope, DefaultValuedAttr<I64Attr, "0">:$start,
                       DefaultValuedAttr<I64Attr, "1">:$every,
                       DefaultValuedAttr<StrAttr, "\"zero\"">:$outside);
  let results = (outs LM_Number:$y);
  let hasVerifier = 1;
  let hasFolder = 1;
  let extraClassDeclaration = [{
    bool isLowestOutside() { return getOutside() == "lowest"; }
    /// Does every element of y come from x? Extents must be known for that.
    bool staysInside();
  }];
}

def LM_ConcatOp : LM_InferredOp<"concat"> {
  let summary = "operands one after the other along one dimension of static extents";
  let arguments = (ins Variadic<LM_Tensor>:$xs, I64Attr:$dim);
  let results = (outs LM_Tensor:$y);
}

#endif
