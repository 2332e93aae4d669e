#ifndef LMC_IR_OPS_NORM_TD
#define LMC_IR_OPS_NORM_TD
include "ir/ops/Base.td"

def LM_RmsNormOp : LM_Composite<"rms_norm"> {
  let summary = "y = x / sqrt(mean(x^2) + eps) * weight over the last dimension";
  let description = [{ x `[..., C]`, weight `[C]`. Source: Zhang & Sennrich 2019, arXiv:1910.07467. }];
  let arguments = (ins LM_Float:$x, LM_Float:$weight, F64Attr:$eps);
  let results = (outs LM_Float:$y);
}

def LM_LayerNormOp : LM_Composite<"layer_norm"> {
  let summary = "y = (x - mean) / sqrt(var + eps) * weight + bias over the last dimension";
  let description = [{ x `[..., C]`, weight and bias `[C]`; biased variance. Source: Ba et al. 2016, arXiv:1607.06450. }];
  let arguments = (ins LM_Float:$x, LM_Float:$weight, LM_Float:$bias, F64Attr:$eps);
  let results = (outs LM_Float:$y);
}

def LM_SoftmaxOp : LM_Composite<"softmax"> {
  let summary = "exp(x - max) / sum of the same over the last dimension";
  let arguments = (ins LM_Float:$x);
  let results = (outs LM_Float:$y);
}

#endif
