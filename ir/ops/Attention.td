#ifndef LMC_IR_OPS_ATTENTION_TD
#define LMC_IR_OPS_ATTENTION_TD
include "ir/ops/Base.td"

// Shapes: q [B, T, H, D], k and v [B, S, G, D] with G heads, G divides H: query head h reads head
// h / (H / G) of k and v. Query t stands at position past + t; with `causal` it sees keys
// 0 .. past + t, without it keys 0 .. past + T - 1. `past` is an i32 scalar tensor and is absent
// where k and v hold exactly this call's tokens (then past = S - T = 0).

def LM_AttentionOp : LM_InferredOp<"attention"> {
  let summary = "softmax(scale * q k^T) v";
  let description = [{
    Results: out `[B, T, H, D]` and the log-sum-exp of the scaled scores `[B, T, H]` (natural
    logarithm, f32 for bf16 and f16), which the adjoint reads. Source: Vaswani et al. 2017, arXiv:1706.03762; grouped
    heads: Ainslie et al. 2023, arXiv:2305.13245.
  }];
  let arguments = (ins LM_Float:$q, LM_Float:$k, LM_Float:$v, Optional<LM_Ids>:$past,
                       F64Attr:$scale, UnitAttr:$causal);
  let results = (outs LM_Float:$out, LM_Float:$lse);
}

def LM_AttentionGradOp : LM_InferredOp<"attention_grad", [DeclareOpInterfaceMethods<LM_CompositeOp>]> {
  let summary = "cotangents of q, k and v of attention without past";
  let description = [{
    With P = exp(scale q k^T - lse), dP = dout v^T, delta = rowsum(dout * out),
    dS = P * (dP - delta): dq = scale dS k, dk = scale dS^T q, dv = P^T dout.
    Source: Dao 2023, arXiv:2307.08691.
  }];
  let arguments = (ins LM_Float:$q, LM_Float:$k, LM_Float:$v, LM_Float:$out, LM_Float:$lse,
                       LM_Float:$dout, F64Attr:$scale, UnitAttr:$causal);
  let results = (outs LM_Float:$dq, LM_Float:$dk, LM_Float:$dv);
}

def LM_AttentionDqkvOp : LM_InferredOp<"attention_dqkv"> {
  let summary = "dq, dk and dv of attention_grad; delta [B, T, H] = rowsum(dout * out)";
  let arguments = (ins LM_Float:$q, LM_Float:$k, LM_Float:$v, LM_Float:$lse, LM_Float:$delta,
                       LM_Float:$dout, F64Attr:$scale, UnitAttr:$causal);
  let results = (outs LM_Float:$dq, LM_Float:$dk, LM_Float:$dv);
}

def LM_AttentionDqOp : LM_InferredOp<"attention_dq"> {
  let summary = "dq of attention_grad; delta [B, T, H] = rowsum(dout * out)";
  let arguments = (ins LM_Float:$q, LM_Float:$k, LM_Float:$v, LM_Float:$lse, LM_Float:$delta,
                       LM_Float:$dout, F64Attr:$scale, UnitAttr:$causal);
  let results = (outs LM_Float:$dq);
}

def LM_AttentionDkDvOp : LM_InferredOp<"attention_dkdv"> {
  let summary = "dk and dv of attention_grad; delta [B, T, H] = rowsum(dout * out)";
  let arguments = (ins LM_Float:$q, LM_Float:$k, LM_Float:$v, LM_Float:$lse, LM_Float:$delta,
                       LM_Float:$dout, F64Attr:$scale, UnitAttr:$causal);
  let results = (outs LM_Float:$dk, LM_Float:$dv);
}

def LM_CacheAppendOp : LM_InferredOp<"cache_append"> {
  let summary = "writes new keys or values behind the past ones";
  let description = [{
    `y = cache` with `y[b, past + t] = update[b, t]`; cache `[B, S, G, D]`, update `[B, T, G, D]`,
    past an i32 scalar with past + T <= S. The memory plan updates the cache in place.
  }];
  let arguments = (ins LM_Float:$cache, LM_Float:$update, LM_Ids:$past);
  let results = (outs LM_Float:$y);
}

#endif
