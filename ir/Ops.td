#ifndef LMC_IR_OPS_TD
#define LMC_IR_OPS_TD
include "ir/ops/Pointwise.td"
include "ir/ops/Shape.td"
include "ir/ops/Reduce.td"
include "ir/ops/Matmul.td"
include "ir/ops/Block.td"
include "ir/ops/Attention.td"
include "ir/ops/Gather.td"
include "ir/ops/Norm.td"
include "ir/ops/Activation.td"
include "ir/ops/Rope.td"
include "ir/ops/Random.td"
include "ir/ops/CrossEntropy.td"
include "ir/ops/Optimizer.td"
include "ir/ops/Kernel.td"
#endif
