#ifndef LMC_IR_OPS_TOPK_TD
#define LMC_IR_OPS_TOPK_TD
include "ir/ops/Base.td"

def LM_TopKOp : LM_InferredOp<"top_k"> {
  let summary = "the k largest elements along the last dimension, and where they are";
  let description = [{
    x `[..., N]`, `1 <= k <= N`: values `[..., k]`, falling, and their ids `[..., k]`. Of equal elements the
    one with the lower id comes first, so that the choice is the same everywhere; a NaN counts as larger
    than any number.
  }];
  let arguments = (ins LM_Float:$x, I64Attr:$k);
  let results = (outs LM_Float:$values, LM_Ids:$ids);
}

#endif
