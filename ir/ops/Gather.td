#ifndef LMC_IR_OPS_GATHER_TD
#define LMC_IR_OPS_GATHER_TD
include "ir/ops/Base.td"

def LM_GatherOp : LM_InferredOp<"gather"> {
  let summary = "rows of a table: y[..., c] = table[ids[...], c]";
  let description = [{ table `[V, C]`, ids any shape of i32 in [0, V); drivers check the range. }];
  let arguments = (ins LM_Float:$table, LM_Ids:$ids);
  let results = (outs LM_Float:$y);
}

def LM_ScatterAddOp : LM_Op<"scatter_add"> {
  let summary = "y [V, C] = 0; y[ids[...], c] += updates[..., c]";
  let description = [{ Rows with the same id are added in the order of ids: the adjoint of gather. }];
  let arguments = (ins LM_Ids:$ids, LM_Float:$updates);
  let results = (outs LM_Float:$y);
  let hasVerifier = 1;
}

#endif
