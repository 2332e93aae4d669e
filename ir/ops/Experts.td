#ifndef LMC_IR_OPS_EXPERTS_TD
#define LMC_IR_OPS_EXPERTS_TD
include "ir/ops/Base.td"

// Mixtures of experts: each row has an expert's id, and products use only the matrix of that expert. Rows of
// one expert are computed together; group_rows says which these are, once for all products of a layer.

def LM_GroupRowsOp : LM_InferredOp<"group_rows"> {
  let summary = "sorts rows by the id of their group";
  let description = [{
    ids of any shape in [0, groups); a row is a position in them, counted row-major. `order` (the shape of ids)
    lists the rows of group 0, then of group 1, ..., those of one group rising; group e has the places
    `starts[e] .. starts[e + 1]` of it. `starts [groups + 1]`.
  }];
  let arguments = (ins LM_Ids:$ids, I64Attr:$groups);
  let results = (outs LM_Ids:$order, LM_Ids:$starts);
}

def LM_ExpertMatmulOp : LM_InferredOp<"expert_matmul"> {
  let summary = "each row times the matrix of its expert";
  let description = [{
    `y[r..., n] = sum over k of x[r..., k] * w[e(r), k, n]`, where e(r) is the group that `order [R...]` and
    `starts [E + 1]` (of group_rows) put row r in. w is `[E, K, N]`, with `transpose_b` `[E, N, K]`. x is
    `[R..., K]`, or lacks leading dimensions of R and is then read once for each of their indices, as NumPy
    broadcasts. y `[R..., N]` has the type of the sums: f32 for bf16 and f16, else the operands' own.
  }];
  let arguments = (ins LM_Float:$x, LM_Float:$w, LM_Ids:$order, LM_Ids:$starts, UnitAttr:$transpose_b);
  let results = (outs LM_Float:$y);
}

def LM_ExpertOuterOp : LM_InferredOp<"expert_outer"> {
  let summary = "for each expert, the sum of the outer products of its rows";
  let description = [{
    `y[e, m, n] = sum over the rows r of expert e of a[r..., m] * b[r..., n]`, added in the order of rows: what
    expert_matmul's weights get back. `order`, `starts`, and rows that a or b share, as there; y `[E, M, N]`.
  }];
  let arguments = (ins LM_Float:$a, LM_Float:$b, LM_Ids:$order, LM_Ids:$starts);
  let results = (outs LM_Float:$y);
}

#endif
