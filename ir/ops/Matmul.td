#ifndef LMC_IR_OPS_MATMUL_TD
#define LMC_IR_OPS_MATMUL_TD
include "ir/ops/Base.td"

def LM_MatmulOp : LM_InferredOp<"matmul"> {
  let summary = "matrix product with optional transposes";
  let description = [{
    `y[..., m, n] = sum over k of a[..., m, k] * b[..., k, n]`. The operands have one element type;
    y has the type of the sums: f32 for bf16 and f16, else the operands' own.
    `transpose_a`: a is `[..., k, m]`; `transpose_b`: b is `[..., n, k]`.
    Either both operands have the same leading (batch) dimensions, or b has rank 2 and is shared
    by all rows of a.
    `panel_columns = n`: b is a shared matrix [k, n] packed as panels (`ir/Panels.h`),
    `[ceil(n / width), k rounded up to a multiple of 4, width]`; no `transpose_b` then.
  }];
  let arguments = (ins LM_Float:$a, LM_Float:$b, UnitAttr:$transpose_a, UnitAttr:$transpose_b,
                       OptionalAttr<I64Attr>:$panel_columns);
  let results = (outs LM_Float:$y);
}

#endif
