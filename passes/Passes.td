// Every pass of the compiler, in the order in which Pipeline.cpp runs them.
#ifndef LMC_PASSES_TD
#define LMC_PASSES_TD

include "mlir/Pass/PassBase.td"

def InferShapes : Pass<"lm-infer-shapes", "::mlir::func::FuncOp"> {
  let summary = "gives symbolic dimensions their numbers and infers every shape anew";
  let dependentDialects = ["::lmc::lm::LMDialect"];
  let options = [
    ListOption<"bindings", "bind", "std::string", "symbol=extent, e.g. bind=B=4,T=64">,
  ];
}

def Differentiate : Pass<"lm-differentiate", "::mlir::func::FuncOp"> {
  let summary = "appends the gradient of the first result for each parameter (reverse mode)";
  let dependentDialects = ["::lmc::lm::LMDialect"];
  let options = [
    Option<"function", "function", "std::string", "\"loss\"", "which function; others stay as they are">,
    Option<"seed", "seed", "double", "1.0", "cotangent of the first result">,
  ];
}

def OptimizerUpdate : Pass<"lm-optimizer-update", "::mlir::ModuleOp"> {
  let summary = "turns gradients into a training step: clipping, schedule, AdamW";
  let dependentDialects = ["::lmc::lm::LMDialect"];
  let options = [
    Option<"lr", "lr", "double", "3e-4", "peak learning rate">,
    Option<"beta1", "beta1", "double", "0.9", "decay of the first moment">,
    Option<"beta2", "beta2", "double", "0.95", "decay of the second moment">,
    Option<"eps", "eps", "double", "1e-8", "added to the root of the second moment">,
    Option<"weightDecay", "weight-decay", "double", "0.1", "for tensors of rank >= 2">,
    Option<"gradClip", "grad-clip", "double", "0", "largest global norm; 0: no clipping">,
    Option<"schedule", "schedule", "std::string", "\"constant\"", "cosine, linear, constant or wsd">,
    Option<"warmupSteps", "warmup-steps", "int64_t", "0", "steps of linear warm-up">,
    Option<"minLr", "min-lr", "double", "0", "where cosine, linear and wsd end">,
    Option<"decaySteps", "decay-steps", "int64_t", "0", "wsd: steps of the final decay">,
    Option<"steps", "steps", "int64_t", "0", "length of the run, for schedules that end">,
    Option<"accumulate", "accumulate", "int64_t", "1", "micro-batches a step">,
  ];
}

def RoundProducts : Pass<"lm-round-products", "::mlir::ModuleOp"> {
  let summary = "products and attention read and keep bf16; sums, statistics and masters stay f32";
  let dependentDialects = ["::lmc::lm::LMDialect"];
}

def Decompose : Pass<"lm-decompose", "::mlir::func::FuncOp"> {
  let summary = "composites become primitives; reductions run along rows or along columns";
}

def FlashAttention : Pass<"lm-flash-attention", "::mlir::func::FuncOp"> {
  let summary = "attention's adjoint becomes tiled kernels that recompute the scores";
  let options = [
    Option<"items", "items", "int64_t", "8", "batch entries times key heads from which on one kernel computes dq, dk and dv; fewer: two kernels with more work items">,
  ];
}

def SplitAttention : Pass<"lm-split-attention", "::mlir::func::FuncOp"> {
  let summary = "shares the keys of a long cache among several blocks of a GPU, and combines what they find";
  let options = [
    Option<"multiprocessors", "multiprocessors", "int64_t", "0", "of the GPU; 0: nothing is split unless `parts` says so">,
    Option<"parts", "parts", "int64_t", "0", "parts of the keys, whatever the size; 0: chosen from the shapes, and short caches stay whole">,
    Option<"chunk", "chunk", "int64_t", "0", "keys that stand together, a multiple of 16; 0: chosen from the shapes">,
    Option<"explain", "explain", "bool", "false", "print what is split and each refusal as a remark">,
  ];
}

def ChunkLoss : Pass<"lm-chunk-loss", "::mlir::func::FuncOp"> {
  let summary = "computes large logits, their loss and its adjoint for some rows at a time";
  let options = [
    Option<"rows", "rows", "int64_t", "0", "rows of a chunk, whatever the size; 0: chosen from the shapes, and small logits stay whole">,
    Option<"explain", "explain", "bool", "false", "print what is split and each refusal as a remark">,
  ];
}

def QuantizeWeights : Pass<"lm-quantize-weights", "::mlir::ModuleOp"> {
  let summary = "block-quantised parameters become panels that integer products read";
  let options = [
    Option<"width", "width", "int64_t", "0", "columns of a panel; 0: the target has no such kernels">,
    Option<"fileTables", "file-tables", "bool", "false", "tables that are only gathered from stay as files have them, where the format allows">,
  ];
}

def PackWeights : Pass<"lm-pack-weights", "::mlir::ModuleOp"> {
  let summary = "parameters that are only right sides of products become panels";
  let options = [
    Option<"width", "width", "int64_t", "0", "columns of a panel; 0: nothing is packed">,
    Option<"explain", "explain", "bool", "false", "say as a remark why a matrix stays as it is">,
  ];
}

def NarrowWeights : Pass<"lm-narrow-weights", "::mlir::ModuleOp"> {
  let summary = "parameters that their file holds in 16 bits are kept so";
}

def NarrowCaches : Pass<"lm-narrow-caches", "::mlir::func::FuncOp"> {
  let summary = "keys and values are cached in f16 or q8_0";
  let options = [
    Option<"format", "format", "std::string", "\"f16\"", "what a cache holds: f16, or q8_0 (rows of bytes)">,
  ];
}

def FuseKernels : Pass<"lm-fuse-kernels", "::mlir::func::FuncOp"> {
  let summary = "groups primitives into the regions that one launch computes";
  let options = [
    Option<"explain", "explain", "bool", "false", "print each kernel and each refusal as a remark">,
  ];
}

def JoinKernels : Pass<"lm-join-kernels", "::mlir::func::FuncOp"> {
  let summary = "independent small launches become one, whose blocks find their part of it";
  let options = [
    Option<"parameterBytes", "parameter-bytes", "int64_t", "32764", "what the parameters of a launch may take: an address each">,
    Option<"explain", "explain", "bool", "false", "print what is joined as remarks">,
  ];
}

def Recompute : Pass<"lm-recompute", "::mlir::ModuleOp"> {
  let summary = "runs forward launches again in the backward pass where memory would not suffice";
  let options = [
    Option<"limit", "limit", "int64_t", "0", "bytes of the whole arena">,
    Option<"scratch", "scratch", "int64_t", "0", "bytes of the arena that kernels need as scratch">,
    Option<"source", "source", "std::string", "\"limit\"", "what set the limit, for errors">,
    Option<"explain", "explain", "bool", "false", "print what is recomputed and why as remarks">,
  ];
}

def VerifyPhase : Pass<"lm-verify-phase", "::mlir::ModuleOp"> {
  let summary = "checks that only the ops that a phase may leave are there";
  let options = [
    Option<"phase", "phase", "std::string", "\"graph\"", "graph, primitives, kernels or plan">,
  ];
}

def PlanMemory : Pass<"lm-plan-memory", "::mlir::ModuleOp"> {
  let summary = "outlines kernels, shares equal ones, and gives every buffer its place";
  let dependentDialects = ["::lmc::plan::PlanDialect"];
}

#endif
