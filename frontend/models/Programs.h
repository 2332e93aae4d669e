// Model configs to lm modules: one function for each thing that is run with the same parameters.
#pragma once

#include "frontend/ModelConfig.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>
#include <vector>

namespace lmc {

/// On a parameter argument: array<f64: mean, deviation> of its initial normal distribution.
inline constexpr llvm::StringLiteral kInit = "lm.init";

/// Shares of elements that @loss sets to zero, in [0, 1); the others are divided by 1 - p.
/// Source: Srivastava et al. 2014, "Dropout: a simple way to prevent neural networks from overfitting".
struct Dropout {
  double embedding = 0; ///< of what enters the first layer
  double residual = 0;  ///< of what a block adds to the residual stream
  bool any() const { return embedding > 0 || residual > 0; }
};

/// What @loss draws its dropout from, scalars i32; the driver sets them before each run: the words
/// of a seed, and the number of micro-batches before this one.
inline constexpr llvm::StringLiteral kRandomKey0 = "random.key0", kRandomKey1 = "random.key1",
                                     kRandomStep = "random.step";

/// Tokens of a prompt that are computed at once where nothing else is asked for: enough for products to
/// run at full speed, and what they need in memory does not grow with the context.
inline constexpr int64_t kPrefillChunk = 128;

/// The sizes and the choice of programs. 0 stands for the model's context.
struct ProgramOptions {
  int64_t batch = 1;       ///< B of @loss and @eval
  int64_t length = 0;      ///< T of @loss and @eval, longest T of @forward
  int64_t chunk = 0;       ///< longest T of @prefill; 0: kPrefillChunk, or the cache's length
  int64_t cacheLength = 0; ///< S, positions of a KV cache
  int64_t pageTokens = 0;  ///< P > 0: caches are pools of pages, which sequences share
  int64_t poolTokens = 0;  ///< tokens that a pool holds; 0: cacheLength
  int64_t draft = 0;       ///< longest T of @verify; 0: there is none
  int64_t decodeBatch = 0; ///< most sequences of @decode_batch; 0: there is none; needs pages
  bool training = true;    ///< @loss and @eval
  bool inference = true;   ///< @forward, and @prefill and @decode of a language model
  Dropout dropout = {};    ///< of @loss alone; gpt2 only
};

/// A parameter of a program: its checkpoint name, shape and initial distribution.
struct ParameterSpec {
  std::string name;
  std::vector<int64_t> shape;
  double initMean = 0, initDeviation = 0; ///< normal; deviation 0: a constant
  bool operator==(const ParameterSpec &) const = default;
};

/// Builds a module with the functions below. All have the same parameters in the same order
/// (arguments with lm.role = "parameter", lm.name = the Hugging Face checkpoint name, lm.init =
/// [mean, deviation]), then what is listed. V vocab, S cacheLength, G kv heads, D head_dim; ids
/// i32, all else f32.
///   @loss    tokens [B, T], targets [B, T], with dropout also random.key0, .key1 and .step []
///            -> loss, the mean cross-entropy, a scalar
///   @eval    the same graph without dropout
///   @forward tokens [1, T], T in [1, length] -> logits [1, T, V]
///   @prefill tokens [1, chunk], past [], last [1], sample.*, cache.<layer>.k and .v [1, S, G, D];
///            chunk in [1, options.chunk] -> logits [1, V] of tokens[0, last], sampled [1], the id
///            drawn from them (runtime/Sampling.h has the names), caches (lm.updates)
///   @verify  tokens [1, draft], past [], caches; draft in [1, options.draft]
///            -> logits [draft, V] of all tokens, caches (lm.updates)
///   @decode  tokens [1, 1], past [], sample.*, caches -> logits [1, V], sampled [1], caches
///            (lm.updates)
///   @decode_batch  a token each of n sequences: tokens [1, n], past [n], sample.* of n rows, pages [n, M],
///            pools; n, `sequences`, in [1, options.decodeBatch] -> logits [n, V], sampled [n], pools. A
///            sequence's numbers are the same to the bit whichever others come with it, up to 6 in all
/// With pageTokens P caches are [N, P, G, D], N P >= poolTokens, and the three take pages [1, M], i32, with
/// M P >= cacheLength, which becomes a multiple of P or the model's context.
/// Each varying extent has a symbol of its own, since an executable has one range for each.
/// Networks with Architecture::Layers take features [B, inputs] in place of tokens, and targets
/// [B]; their @forward maps features [B, inputs] to logits [B, classes] for B in [1, 1024]. Encoders have
/// @forward alone: tokens [1, T] -> hidden [1, T, C]. Throws
/// Error where sizes do not fit together, or (Architecture::Ir) the file does not parse or lacks a
/// function.
mlir::OwningOpRef<mlir::ModuleOp>
buildPrograms(mlir::MLIRContext &context, const ModelConfig &config, const ProgramOptions &options);

/// Error for a model that has nothing to train or evaluate.
void requireLoss(const ModelConfig &config);

/// The parameters of a module's functions, in argument order. Throws Error where functions disagree
/// or a parameter has no name.
std::vector<ParameterSpec> parametersOf(mlir::ModuleOp module);
/// The parameters of the model's programs, from the smallest of them. Throws as buildPrograms does.
std::vector<ParameterSpec> parametersOf(const ModelConfig &config);

} // namespace lmc
