#ifndef LMC_IR_OPS_BLOCK_TD
#define LMC_IR_OPS_BLOCK_TD
include "ir/ops/Base.td"

// Products with block-quantised weights: rows are quantised as they come, the dot products of a block are
// integers. Bytes are i8; what they mean is the op's. Weights are panels, ir/BlockPanels.h.

def LM_Bytes : RankedTensorOf<[I8]>;

def LM_QuantizeRowsOp : LM_InferredOp<"quantize_rows"> {
  let summary = "rows as signed bytes with one scale for 32 of them";
  let description = [{
    x `[..., K]` f32, K a multiple of 32. For each 32 neighbours with a = max |x|: scale = a / 127 and
    codes = x * (127 / a), rounded to the nearest integer, ties to even; 0 where a is 0 or not finite (the
    scale then is a, so that products are NaN). `codes [..., K]`, `scales [..., K/32]`;
    `sums [..., K/32]` and `half_sums [..., K/16]`: scale times the sum of 32 and of 16 codes, which
    weights with an offset or a minimum need. All arithmetic is f32.
  }];
  let arguments = (ins RankedTensorOf<[F32]>:$x);
  let results = (outs LM_Bytes:$codes, RankedTensorOf<[F32]>:$scales, RankedTensorOf<[F32]>:$sums,
                      RankedTensorOf<[F32]>:$half_sums);
}

def LM_BlockMatmulOp : LM_InferredOp<"block_matmul"> {
  let summary = "product of quantised rows and block-quantised weights";
  let description = [{
    `y[..., n] = sum over k of x[..., k] * w[k, n]` f32, with x as quantize_rows gives it and w as
    panels `[count, bytes]` of the block format `format`, of `columns` columns.
  }];
  let arguments = (ins LM_Bytes:$codes, RankedTensorOf<[F32]>:$scales, RankedTensorOf<[F32]>:$sums,
                       RankedTensorOf<[F32]>:$half_sums, LM_Bytes:$weights, StrAttr:$format,
                       I64Attr:$columns, I64Attr:$width);
  let results = (outs RankedTensorOf<[F32]>:$y);
}

def LM_ExpertBlockMatmulOp : LM_InferredOp<"expert_block_matmul"> {
  let summary = "each quantised row times the block-quantised matrix of its expert";
  let description = [{
    expert_matmul of rows as quantize_rows gives them, which may lack leading dimensions as there, and of panels
    `[E, count, bytes]`, those of block_matmul for each expert: `y[r..., n] = sum over k of x[r..., k] *
    w[e(r), k, n]` f32, where e(r) is the group that `order [R...]` and `starts [E + 1]` put row r in.
  }];
  let arguments = (ins LM_Bytes:$codes, RankedTensorOf<[F32]>:$scales, RankedTensorOf<[F32]>:$sums,
                       RankedTensorOf<[F32]>:$half_sums, LM_Bytes:$weights, LM_Ids:$order, LM_Ids:$starts,
                       StrAttr:$format, I64Attr:$columns, I64Attr:$width);
  let results = (outs RankedTensorOf<[F32]>:$y);
}

def LM_BlockGatherOp : LM_InferredOp<"block_gather"> {
  let summary = "columns of block-quantised weights by id: y[..., k] = w[k, ids[...]]";
  let description = [{
    The rows of an embedding table that lies as the weights of a product with its transpose do: panels
    `[count, bytes]` of a matrix `[depth, columns]`; or as files have it, `[columns, bytes]`, which a width of 1
    says. ids in [0, columns); drivers check the range.
  }];
  let arguments = (ins LM_Bytes:$weights, LM_Ids:$ids, StrAttr:$format, I64Attr:$depth,
                       I64Attr:$columns, I64Attr:$width);
  let results = (outs RankedTensorOf<[F32]>:$y);
}

#endif
