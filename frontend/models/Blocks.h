// A model's graph under construction, and the blocks that families are built from.
#pragma once

#include "frontend/models/Programs.h"
#include "ir/Dialect.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/StringMap.h"

namespace lmc {

/// One program's function: parameters by name, further arguments, results.
class ModelGraph {
public:
  ModelGraph(mlir::ModuleOp module, llvm::StringRef name, const ModelConfig &config,
             llvm::ArrayRef<ParameterSpec> parameters);

  const ModelConfig &config;
  lm::GraphBuilder g;  ///< without a model path; blocks work at(path)
  int64_t longest = 0; ///< positions that a sequence of this program may have

  /// Null where the model has no parameter of this name.
  mlir::Value parameter(llvm::StringRef name) const { return parameters.lookup(name); }
  mlir::Value argument(llvm::StringRef name, llvm::StringRef role, llvm::ArrayRef<lm::Dim> shape,
                       mlir::Type element);
  void output(mlir::Value value, llvm::StringRef name);
  /// A named extent with its range.
  lm::Dim symbol(llvm::StringRef name, int64_t low, int64_t high);
  /// From here attention reads and extends caches of every layer, behind `past` tokens: [1, S, G, D], or
  /// pools of pages with a table, which is an argument, too. With `past` [n] tokens [1, n] are of n sequences.
  void useCaches(mlir::Value past, const ProgramOptions &options);
  /// Number of tokens before this call, i32, one for all or [n]; null where there are none.
  mlir::Value past() const { return pastTokens; }
  /// The table of a paged cache, i32 [1, M]; null where there is none.
  mlir::Value pages() const { return pageTable; }
  /// Of n sequences, each with one token?
  bool isBatch() const { return pastTokens && !lm::shapeOf(pastTokens).empty(); }
  /// Appends k and v [1, T, G, D] to a layer's caches and gives the caches; k and v without caches.
  std::pair<mlir::Value, mlir::Value> extendCaches(lm::GraphBuilder &g, int64_t layer,
                                                   mlir::Value k, mlir::Value v);
  /// From here dropout() has shares above 0: adds the arguments that it draws from.
  void useDropout(const Dropout &shares);
  const Dropout &dropout() const { return shares; }
  /// 32 random bits an element of `like`, of a stream of their own.
  mlir::Value randomBits(lm::GraphBuilder &g, mlir::Value like);
  /// Writes return, attributes and ranges. Cache updates come last.
  void finish();

private:
  struct Result {
    mlir::Value value;
    mlir::NamedAttrList attributes;
  };
  mlir::func::FuncOp function;
  mlir::OpBuilder builder;
  llvm::StringMap<mlir::Value> parameters;
  llvm::SmallVector<Result> results;
  mlir::NamedAttrList ranges;
  mlir::Value pastTokens, pageTable;
  Dropout shares;
  mlir::Value key0, key1, step;                         // of random bits; null without dropout
  int32_t streams = 0;                                  // of random bits that are taken
  llvm::SmallVector<mlir::Value> caches, updatedCaches; // k, v of layer 0, k, v of layer 1, ...
};

/// A kind of model: its parameter table and its graph. `hidden` maps tokens [B, T] to [B, T, C]
/// (before the last norm), `logits` a part of that, [..., C], to [..., V].
struct ModelFamily {
  std::vector<ParameterSpec> (*parameters)(const ModelConfig &);
  mlir::Value (*hidden)(ModelGraph &, mlir::Value tokens);
  mlir::Value (*logits)(ModelGraph &, mlir::Value hidden);
  llvm::StringRef embedding;                   ///< what a tied head shares
  llvm::StringRef optionalPrefix;              ///< checkpoints of the bare model leave it out
  std::vector<llvm::StringRef> bufferSuffixes; ///< tensors of a checkpoint that are no parameters
};
extern const ModelFamily gpt2Family;
extern const ModelFamily decoderFamily; ///< every architecture with a DecoderStyle
/// `hidden` maps tokens [1, T] to [1, T, C], which `logits` gives unchanged.
extern const ModelFamily encoderFamily;
/// `hidden` maps features [B, inputs] to class logits; `logits` gives them unchanged.
extern const ModelFamily layersFamily;
const ModelFamily &familyOf(Architecture architecture);

enum class WeightLayout {
  InOut, ///< [in, out], as GPT-2's Conv1D
  OutIn, ///< [out, in], as torch's Linear
};

/// x [..., in] -> [..., out] with the parameters "<name>.weight" and, where it exists,
/// "<name>.bias"; ops are at `path`.
mlir::Value linear(ModelGraph &m, llvm::StringRef path, llvm::StringRef name, mlir::Value x,
                   WeightLayout layout);

/// Layer norm with "<name>.weight" and "<name>.bias" (zeros where the model has none).
mlir::Value layerNorm(ModelGraph &m, llvm::StringRef path, llvm::StringRef name, mlir::Value x);
/// Rms norm with "<name>.weight", or 1 + it where the family has offset norms.
mlir::Value rmsNorm(ModelGraph &m, llvm::StringRef path, llvm::StringRef name, mlir::Value x);

mlir::Value activate(lm::GraphBuilder g, Activation kind, mlir::Value x);

/// x with a share p of its elements set to zero and the others divided by 1 - p; x itself for p = 0.
mlir::Value drop(ModelGraph &m, llvm::StringRef path, mlir::Value x, double p);

/// Rows of "<name>.weight" [V, C]: ids [...] -> [..., C].
mlir::Value embed(ModelGraph &m, llvm::StringRef path, llvm::StringRef name, mlir::Value ids);

/// i32 [T]: past, past + 1, ...; T is tokens' last dimension. Of n sequences past itself.
mlir::Value positionIds(ModelGraph &m, llvm::StringRef path, mlir::Value tokens);

/// What changes attention's scores.
struct AttentionOptions {
  std::optional<double> scale; ///< of q k^T; left out: 1 / sqrt(D)
  int64_t window = 0;          ///< keys that a query sees, its own included; 0: all before it
  bool causal = true;          ///< a query sees no key behind it
  double softCap = 0;          ///< c: scores are c tanh(score / c); 0: as they are
};

/// Attention of a layer over this call's and the cached tokens:
/// q [B, T, H, D], k and v [B, T, G, D] -> [B, T, H * D].
mlir::Value attend(ModelGraph &m, llvm::StringRef path, int64_t layer, mlir::Value q, mlir::Value k,
                   mlir::Value v, const AttentionOptions &options = {});

/// x [..., C] times the table [V, C] with this name: [..., V].
mlir::Value headLogits(ModelGraph &m, llvm::StringRef path, llvm::StringRef table, mlir::Value x);

/// [..., X * Y] -> [..., X, Y] with Y = `last`, and back.
mlir::Value splitLast(lm::GraphBuilder g, mlir::Value x, int64_t last);
mlir::Value mergeLast(lm::GraphBuilder g, mlir::Value x);

} // namespace lmc
