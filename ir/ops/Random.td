// Random bits that are a function of a counter, never of a state that moves: the same for any number
// of threads, any tiling and target, and after a run was resumed.
#ifndef LMC_IR_OPS_RANDOM_TD
#define LMC_IR_OPS_RANDOM_TD
include "ir/ops/Base.td"

def LM_RandomBitsOp : LM_Op<"random_bits", [DeclareOpInterfaceMethods<LM_CompositeOp>]> {
  let summary = "32 random bits an element, from (key, step, stream, element)";
  let description = [{
    Element n of `bits` (row-major) is `philox` of index n. `key0` and `key1` are the words of a
    seed, `step` numbers the runs of a program, `stream` the uses in it; all scalars. As signed
    numbers the bits are uniform on [-2^31, 2^31). Extents behind the first are static.
  }];
  let arguments = (ins LM_Ids:$key0, LM_Ids:$key1, LM_Ids:$step, I32Attr:$stream);
  let results = (outs LM_Ids:$bits);
  let hasVerifier = 1;
}

def LM_PhiloxOp : LM_Pointwise<"philox"> {
  let summary = "word 0 of Philox4x32-10 at the counter (index, 0, stream, step)";
  let description = [{
    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3". The key is (`key0`,
    `key1`). In runtime/Philox.h this is block `index` of the stream `step * 2^32 + stream`.
  }];
  let arguments = (ins LM_Ids:$index, LM_Ids:$key0, LM_Ids:$key1, LM_Ids:$step, I32Attr:$stream);
  let results = (outs LM_Ids:$bits);
}

#endif
