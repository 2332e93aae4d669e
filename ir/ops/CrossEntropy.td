#ifndef LMC_IR_OPS_CROSSENTROPY_TD
#define LMC_IR_OPS_CROSSENTROPY_TD
include "ir/ops/Base.td"

def LM_CrossEntropyOp : LM_Composite<"cross_entropy"> {
  let summary = "log-sum-exp(logits) - logits[target], in nats, for each row";
  let description = [{ logits `[..., V]`, targets `[...]` i32 in [0, V); loss `[...]`. }];
  let arguments = (ins LM_Float:$logits, LM_Ids:$targets);
  let results = (outs LM_Float:$loss);
}

#endif
