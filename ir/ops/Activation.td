#ifndef LMC_IR_OPS_ACTIVATION_TD
#define LMC_IR_OPS_ACTIVATION_TD
include "ir/ops/Base.td"

class LM_Activation<string mnemonic, string what> : LM_Composite<mnemonic> {
  let summary = what;
  let arguments = (ins LM_Float:$x);
  let results = (outs LM_Float:$y);
}

def LM_GeluOp : LM_Composite<"gelu"> {
  let summary = "x * Phi(x), exact (erf) or by tanh";
  let description = [{
    approximate: x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))), as GPT-2 has it ("gelu_new").
    Source: Hendrycks & Gimpel 2016, arXiv:1606.08415.
  }];
  let arguments = (ins LM_Float:$x, UnitAttr:$approximate);
  let results = (outs LM_Float:$y);
}
def LM_ReluOp : LM_Activation<"relu", "max(x, 0); the derivative at 0 is 0">;
def LM_SigmoidOp : LM_Activation<"sigmoid", "1 / (1 + e^-x)">;
def LM_SiluOp : LM_Activation<"silu", "x * sigmoid(x)">;

def LM_SwigluOp : LM_Composite<"swiglu"> {
  let summary = "silu(gate) * up";
  let description = [{ Source: Shazeer 2020, arXiv:2002.05202. }];
  let arguments = (ins LM_Float:$gate, LM_Float:$up);
  let results = (outs LM_Float:$y);
}

#endif
