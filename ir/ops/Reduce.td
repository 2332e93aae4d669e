#ifndef LMC_IR_OPS_REDUCE_TD
#define LMC_IR_OPS_REDUCE_TD
include "ir/ops/Base.td"

def LM_ReduceOp : LM_InferredOp<"reduce"> {
  let summary = "sum or max over dimensions, which disappear";
  let description = [{
    The order of summation is fixed by the shape alone, so that results are the same for any
    number of threads. `dims` rises strictly. A NaN wins a maximum; integer sums wrap around.
  }];
  let arguments = (ins LM_Number:$x, StrAttr:$kind, DenseI64ArrayAttr:$dims);
  let results = (outs LM_Number:$y);
  let hasVerifier = 1;
}

#endif
