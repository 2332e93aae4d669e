#ifndef LMC_IR_OPS_ATTENTION_TD
#define LMC_IR_OPS_ATTENTION_TD
include "ir/ops/Base.td"

// Shapes: q [B, T, H, D], k and v [B, S, G, D] with G heads, G divides H: query head h reads head
// h / (H / G) of k and v. Query t stands at position past + t; with `causal` it sees keys
// 0 .. past + t, without it keys 0 .. past + T - 1. `past` is i32, one number or one for each sequence [B],
// and is absent where k and v hold exactly this call's tokens (then past = S - T = 0). A negative one is 0.
//
// Paged caches: with `pages` [B, M], i32, k and v are pools of pages [N, P, G, D], and token s of sequence b is
// row s % P of page pages[b, s / P]; S = M P. Attention reads page 0 or N - 1 in place of a page below or above
// those of the pool, cache_append leaves out what it would write there: no page number, whatever it is, leads
// outside of the pool. Sequences may share pages that they only read. Sums run over tokens in their order,
// so numbers are to the bit those of a cache [B, S, G, D], wherever the pages lie.
//
// A `window` W leaves of those the last W: the query at position p sees keys p - W + 1 .. p. It needs `causal`.
// With a `soft_cap` c scores are c tanh(scale q k / c): before anything is hidden, and before the softmax.

// ir/AttentionScores.h has the modifiers as numbers, and what a query sees.
class LM_Attention<string mnemonic, dag operands, list<Trait> traits = [], dag more = (ins),
                   string declarations = "">
    : LM_InferredOp<mnemonic, traits, declarations> {
  let arguments = !con(operands, (ins F64Attr:$scale, UnitAttr:$causal, OptionalAttr<I64Attr>:$window,
                                      OptionalAttr<F64Attr>:$soft_cap), more);
  // Operands in order; an optional one may be null.
  let builders = [OpBuilder<(ins "::mlir::ValueRange":$operands,
                                 "const ::lmc::lm::AttentionScores &":$scores), [{
    ::llvm::SmallVector<::mlir::Value> present;
    ::llvm::copy_if(operands, ::std::back_inserter(present), [](::mlir::Value x) { return !!x; });
    build($_builder, $_state, present, scores.attributes($_builder));
  }]>];
}

defvar adjointOperands = (ins LM_Float:$q, LM_Float:$k, LM_Float:$v, LM_Float:$lse, LM_Float:$delta,
                              LM_Float:$dout);

// Over a cache: `cached` is (past) or (past, pages).
defvar cacheDeclarations = [{
    ::mlir::Value getPast() { return getCached().empty() ? ::mlir::Value() : getCached()[0]; }
    ::mlir::Value getPages() { return getCached().size() < 2 ? ::mlir::Value() : getCached()[1]; }
    /// Dimensions whose product is S.
    ::lmc::lm::Shape getKeyDims() { return cachedTokens(getK(), getPages()); }
}];

def LM_AttentionOp
    : LM_Attention<"attention", (ins LM_Float:$q, LM_Cache:$k, LM_Cache:$v, Variadic<LM_Ids>:$cached), [],
                   (ins), cacheDeclarations> {
  let summary = "softmax(scale * q k^T) v";
  let description = [{
    Results: out `[B, T, H, D]` and the log-sum-exp of the scaled scores `[B, T, H]` (natural
    logarithm, f32 for bf16 and f16), which the adjoint reads. k and v may be caches in q8_0, rows of bytes as
    cache_append writes them: then it is the attention over the numbers that those stand for. `cached` is `past`, or
    `past, pages` where they are pools of pages. With `window` = W a query sees the last W keys up
    to its own (needs `causal`); with `soft_cap` = c a score is c tanh(scale q k / c). Source: Vaswani et al.
    2017, arXiv:1706.03762; grouped heads: Ainslie et al. 2023, arXiv:2305.13245; windows: Jiang et al. 2023,
    arXiv:2310.06825; soft caps: Gemma Team 2024, arXiv:2408.00118.
  }];
  let results = (outs LM_Float:$out, LM_Float:$lse);
}

def LM_AttentionPartsOp
    : LM_Attention<"attention_parts", (ins LM_Float:$q, LM_Float:$k, LM_Float:$v, Variadic<LM_Ids>:$cached), [],
                   (ins I64Attr:$parts, I64Attr:$chunk), cacheDeclarations> {
  let summary = "attention of each of `parts` shares of the keys, by itself";
  let description = [{
    Keys stand in chunks of `chunk`, a multiple of 16; part p of P has chunks p, p + P, p + 2 P, ... Results: `out`
    `[B, T, H, P, D]`, what lm.attention would give if there were no other keys than the part's, and its log-sum-exp
    `[B, T, H, P]`, both f32 for bf16 and f16. Of a part in which a query sees no key they are 0 and -infinity. With
    w = exp(lse - max lse) attention is sum(w * out) / sum(w) over the parts. A key's part depends on its
    position alone: neither `past` nor the other queries of a call change it. Source: Dao et al. 2023, FlashDecoding
    (https://pytorch.org/blog/flash-decoding), which has one run of keys a part.
  }];
  let results = (outs LM_Float:$out, LM_Float:$lse);
  let builders = [OpBuilder<(ins "::mlir::ValueRange":$operands, "const ::lmc::lm::AttentionScores &":$scores,
                                 "int64_t":$parts, "int64_t":$chunk), [{
    ::llvm::SmallVector<::mlir::Value> present;
    ::llvm::copy_if(operands, ::std::back_inserter(present), [](::mlir::Value x) { return !!x; });
    auto attributes = scores.attributes($_builder);
    attributes.push_back($_builder.getNamedAttr("parts", $_builder.getI64IntegerAttr(parts)));
    attributes.push_back($_builder.getNamedAttr("chunk", $_builder.getI64IntegerAttr(chunk)));
    build($_builder, $_state, present, attributes);
  }]>];
}

def LM_AttentionGradOp
    : LM_Attention<"attention_grad", (ins LM_Float:$q, LM_Float:$k, LM_Float:$v, LM_Float:$out,
                                          LM_Float:$lse, LM_Float:$dout),
                   [DeclareOpInterfaceMethods<LM_CompositeOp>]> {
  let summary = "cotangents of q, k and v of attention without past";
  let description = [{
    With P = exp(S - lse), dP = dout v^T, delta = rowsum(dout * out), dS = P * (dP - delta):
    dq = scale dS k, dk = scale dS^T q, dv = P^T dout. Of a `soft_cap` c, dS has the slope
    1 - (S / c)^2 as a further factor. Source: Dao 2023, arXiv:2307.08691.
  }];
  let results = (outs LM_Float:$dq, LM_Float:$dk, LM_Float:$dv);
}

def LM_AttentionDqkvOp : LM_Attention<"attention_dqkv", adjointOperands> {
  let summary = "dq, dk and dv of attention_grad; delta [B, T, H] = rowsum(dout * out)";
  let results = (outs LM_Float:$dq, LM_Float:$dk, LM_Float:$dv);
}

def LM_AttentionDqOp : LM_Attention<"attention_dq", adjointOperands> {
  let summary = "dq of attention_grad; delta [B, T, H] = rowsum(dout * out)";
  let results = (outs LM_Float:$dq);
}

def LM_AttentionDkDvOp : LM_Attention<"attention_dkdv", adjointOperands> {
  let summary = "dk and dv of attention_grad; delta [B, T, H] = rowsum(dout * out)";
  let results = (outs LM_Float:$dk, LM_Float:$dv);
}

def LM_CacheAppendOp : LM_InferredOp<"cache_append", [], [{
    /// Dimensions whose product is the number of tokens that a sequence has room for.
    ::lmc::lm::Shape getKeyDims() { return cachedTokens(getCache(), getPages()); }
}]> {
  let summary = "writes new keys or values behind the past ones";
  let description = [{
    `y = cache` with `y[b, past + t] = update[b, t]`; cache `[B, S, G, D]`, update `[B, T, G, D]`,
    past i32, one number or [B], with past + T <= S. With `pages` [B, M] the cache is a pool of pages
    `[N, P, G, D]` as for lm.attention; tokens behind the last page, and those whose page is not in the pool
    (-1, of a sequence that takes no part), are left out. Where two tokens have one place, either is
    left there. The memory plan updates the cache in place. A cache of bytes is in
    q8_0: `[B, S, G, bytes]`, a row of D f32 numbers as `D / 32` blocks of an f16 scale and 32 codes, the last
    block with the codes that are left, and a byte more where that is odd. With a = max |x| of a block:
    scale = a / 127, codes = x * (1 / scale), rounded to the nearest integer, halves away from zero; a block
    with an infinity or a NaN is NaN.
  }];
  let arguments = (ins LM_Cache:$cache, LM_Float:$update, LM_Ids:$past, Optional<LM_Ids>:$pages);
  let results = (outs LM_Cache:$y);
  let builders = [OpBuilder<(ins "::mlir::Value":$cache, "::mlir::Value":$update, "::mlir::Value":$past), [{
    build($_builder, $_state, cache, update, past, /*pages=*/::mlir::Value());
  }]>];
}

#endif
