#ifndef LMC_IR_OPS_ROPE_TD
#define LMC_IR_OPS_ROPE_TD
include "ir/ops/Base.td"

def LM_RopeOp : LM_Composite<"rope"> {
  let summary = "rotary position embedding, halves rotated against each other";
  let description = [{
    x `[B, T, H, D]`, positions `[T]` f32, inv_freq `[D/2]` f32; with a = positions[t] * inv_freq[i]:
    y[i] = x[i] cos a - x[i + D/2] sin a, y[i + D/2] = x[i + D/2] cos a + x[i] sin a.
    `inverse` rotates back (the adjoint). Source: Su et al. 2021, arXiv:2104.09864, in the
    layout of Hugging Face's Llama.
  }];
  let arguments = (ins LM_Float:$x, LM_Float:$positions, LM_Float:$inv_freq, UnitAttr:$inverse);
  let results = (outs LM_Float:$y);
}

#endif
