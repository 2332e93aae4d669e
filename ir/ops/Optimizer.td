#ifndef LMC_IR_OPS_OPTIMIZER_TD
#define LMC_IR_OPS_OPTIMIZER_TD
include "ir/ops/Base.td"

def LM_GlobalNormOp : LM_Composite<"global_norm"> {
  let summary = "sqrt of the sum of squares of all elements of all operands, a scalar";
  let arguments = (ins Variadic<LM_Float>:$xs);
  let results = (outs LM_Float:$y);
}

def LM_AdamWOp : LM_Composite<"adamw"> {
  let summary = "one step of AdamW on one parameter";
  let description = [{
    g = scale * grad; m' = b1 m + (1 - b1) g; v' = b2 v + (1 - b2) g^2;
    p' = p - lr (m' / c1 / (sqrt(v' / c2) + eps) + decay p), with c1 = 1 - b1^step, c2 = 1 - b2^step.
    Scalars: lr, scale (clip factor), c1, c2 and `apply` (i1): where false, p, m and v stay as they
    are, so that a step with a NaN gradient loses nothing.
    Source: Loshchilov & Hutter 2017, arXiv:1711.05101.
  }];
  let arguments = (ins LM_Float:$param, LM_Float:$grad, LM_Float:$m, LM_Float:$v, LM_Float:$lr,
                       LM_Float:$scale, LM_Float:$c1, LM_Float:$c2, LM_Mask:$apply,
                       F64Attr:$beta1, F64Attr:$beta2, F64Attr:$eps, F64Attr:$decay);
  let results = (outs LM_Float:$new_param, LM_Float:$new_m, LM_Float:$new_v);
}

#endif
