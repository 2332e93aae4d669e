// Sums and maxima over windows: composites of lm.skew (Shape.td), which reads windows in place.
#ifndef LMC_IR_OPS_CONVOLUTION_TD
#define LMC_IR_OPS_CONVOLUTION_TD
include "ir/ops/Base.td"

// An array has a number for each spatial dimension; left out, it is 1 (strides, dilations) or 0 (padding).
def LM_EachOrDefault : DefaultValuedAttr<DenseI64ArrayAttr, "{}">;

def LM_ConvolutionOp : LM_Composite<"convolution"> {
  let summary = "sums over windows of x, weighted by w, channels last";
  let description = [{
    x `[N, S1, ..., Sk, C]`, w `[K1, ..., Kk, C / groups, F]`, y `[N, O1, ..., Ok, F]`; in one dimension
    `y[n, o, f] = sum over j, c of x[n, o * stride + j * dilation - pad_low, c] * w[j, c, f]`, where x is
    0 outside, and `O = (S + pad_low + pad_high - dilation * (K - 1) - 1) / stride + 1`. With groups
    the channels c and f are cut in as many equal parts, and a part of f sees its part of c only;
    `groups = C = F` is a depthwise convolution. y has the type of the sums: f32 for bf16 and f16, as a
    product's. A symbolic S needs stride 1 and padding of dilation * (K - 1) in all: O = S then.
    Becomes a product of windows and w; depthwise a sum in place, one kernel.
  }];
  let arguments = (ins LM_Float:$x, LM_Float:$w, LM_EachOrDefault:$strides,
                       LM_EachOrDefault:$dilations, LM_EachOrDefault:$pad_low,
                       LM_EachOrDefault:$pad_high, DefaultValuedAttr<I64Attr, "1">:$groups);
  let results = (outs LM_Float:$y);
  let extraClassDeclaration = [{
    static ::llvm::LogicalResult infer(Adaptor op, std::optional<::mlir::Location> loc,
                                       ::llvm::SmallVectorImpl<::mlir::Type> &types);
    /// Each channel on its own: no product.
    bool isDepthwise();
  }];
}

class LM_Pool<string mnemonic, string what> : LM_Composite<mnemonic> {
  let summary = what;
  let arguments = (ins LM_Float:$x, DenseI64ArrayAttr:$size, LM_EachOrDefault:$strides,
                       LM_EachOrDefault:$dilations, LM_EachOrDefault:$pad_low,
                       LM_EachOrDefault:$pad_high);
  let results = (outs LM_Float:$y);
}

def LM_MaxPoolOp : LM_Pool<"max_pool", "the largest element of each window, channels last"> {
  let description = [{
    x `[N, S1, ..., Sk, C]` -> y `[N, O1, ..., Ok, C]`, extents as of `lm.convolution`, windows of `size`.
    Padding never wins; every window must meet x. A NaN wins. The cotangent goes to every
    element that attains the maximum, as that of `lm.reduce` does.
  }];
}

def LM_AveragePoolOp : LM_Pool<"average_pool", "the mean of each window, channels last"> {
  let description = [{
    x `[N, S1, ..., Sk, C]` -> y `[N, O1, ..., Ok, C]`, extents as of `lm.convolution`, windows of `size`.
    The mean is that of the elements in x: padding is not counted. Every window must meet x.
  }];
}

#endif
