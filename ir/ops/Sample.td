#ifndef LMC_IR_OPS_SAMPLE_TD
#define LMC_IR_OPS_SAMPLE_TD
include "ir/ops/Base.td"

def LM_SampleOp : LM_InferredOp<"sample"> {
  let summary = "draws one id for each row of logits: temperature, then top-k, then top-p";
  let description = [{
    logits `[..., V]`, V at most 2^22; `bits` `[..., 2]`, the low and the high word of 64 random bits
    (Philox, runtime/Philox.h); all else `[...]`, one number a row. Only ids below `count` are looked
    at; 0 stands for V. runtime/Sampling.h defines the draw: weights exp((logit - largest) /
    temperature) in fixed point, so that sums are exact in any order; what `top_k` (0: all) and then
    `top_p` (1: all) keep, the most likely first and of equal logits the lower id; then the first id at
    which the kept weights, added up in the order of ids, exceed their sum * bits / 2^64. Temperature 0
    is the most likely id, the lowest of equals. A row with a NaN or +inf, or of nothing but -inf, has
    no such id: -1.
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$logits, RankedTensorOf<[F32]>:$temperature,
                   LM_Ids:$top_k, RankedTensorOf<[F32]>:$top_p, LM_Ids:$count, LM_Ids:$bits);
  let results = (outs LM_Ids:$ids);
}

#endif
