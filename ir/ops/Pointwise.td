// Pointwise primitives: operands and result have one shape; broadcasts are explicit.
#ifndef LMC_IR_OPS_POINTWISE_TD
#define LMC_IR_OPS_POINTWISE_TD
include "ir/ops/Base.td"

class LM_Unary<string mnemonic, string what> : LM_Pointwise<mnemonic> {
  let summary = what;
  let arguments = (ins LM_Float:$x);
  let results = (outs LM_Float:$y);
}
class LM_Binary<string mnemonic, string what> : LM_Pointwise<mnemonic> {
  let summary = what;
  let arguments = (ins LM_Number:$lhs, LM_Number:$rhs);
  let results = (outs LM_Number:$y);
}

def LM_NegOp : LM_Unary<"neg", "-x">;
def LM_AbsOp : LM_Unary<"abs", "|x|; the derivative at 0 is 0">;
def LM_ExpOp : LM_Unary<"exp", "e^x">;
def LM_Expm1Op : LM_Unary<"expm1", "e^x - 1, exact near 0">;
def LM_LogOp : LM_Unary<"log", "natural logarithm">;
def LM_TanhOp : LM_Unary<"tanh", "hyperbolic tangent">;
def LM_ErfOp : LM_Unary<"erf", "error function">;
def LM_SqrtOp : LM_Unary<"sqrt", "square root">;
def LM_RsqrtOp : LM_Unary<"rsqrt", "1 / sqrt(x)">;
def LM_SinOp : LM_Unary<"sin", "sine of radians">;
def LM_CosOp : LM_Unary<"cos", "cosine of radians">;

def LM_AddOp : LM_Binary<"add", "x + y">;
def LM_SubOp : LM_Binary<"sub", "x - y">;
def LM_MulOp : LM_Binary<"mul", "x * y">;
def LM_DivOp : LM_Binary<"div", "x / y">;
def LM_MaximumOp : LM_Binary<"maximum", "the larger; NaN if either is; at a tie the gradient goes to lhs">;
def LM_MinimumOp : LM_Binary<"minimum", "the smaller; NaN if either is; at a tie the gradient goes to lhs">;

def LM_ConvertOp : LM_Op<"convert", [DeclareOpInterfaceMethods<LM_PointwiseOp>]> {
  let summary = "element type conversion, round to nearest even; floats to integers truncate";
  let arguments = (ins LM_Tensor:$x);
  let results = (outs LM_Tensor:$y);
  let hasVerifier = 1;
  let hasFolder = 1;
  let extraClassDeclaration = [{
    bool roundsFloats(); ///< from floats to floats of fewer bits
  }];
}

def LM_CompareOp : LM_Pointwise<"compare"> {
  let summary = "ordered comparison: eq, lt, le, gt or ge; false where an operand is NaN";
  let arguments = (ins LM_Tensor:$lhs, LM_Tensor:$rhs, StrAttr:$predicate);
  let results = (outs LM_Mask:$y);
  let hasVerifier = 1;
}

def LM_IsFiniteOp : LM_Pointwise<"is_finite"> {
  let summary = "true where x is neither NaN nor infinite";
  let arguments = (ins LM_Float:$x);
  let results = (outs LM_Mask:$y);
}

def LM_SelectOp : LM_Pointwise<"select"> {
  let summary = "condition ? lhs : rhs; the operand not chosen takes no gradient";
  let arguments = (ins LM_Mask:$condition, LM_Tensor:$lhs, LM_Tensor:$rhs);
  let results = (outs LM_Tensor:$y);
}

#endif
