// The attention generator: out = softmax(scale q k^T) v and its adjoints, tile by tile, without a
// [T, S] matrix in memory. Source: Dao 2023, arXiv:2307.08691 (online softmax). No sums are shared
// between work items: the adjoint is one kernel with an item for each key head, or dq and dk, dv
// are two kernels.
//
//   q, out, dq, dout [B, T, H, D]; k, v, dk, dv [B, S, G, D]; lse, delta [B, T, H]
//
// H is a multiple of G; query head h reads key head h / (H / G). Of a paged cache k and v are pools of
// pages, and a token's row is looked up wherever it is read: tiles and sums are those of a cache that lies
// in one piece, so that the numbers are, too. With `past`, query t stands at
// position past + t. It sees keys 0 .. its position if causal (with a window the last ones of those),
// else 0 .. past + T - 1; past + T <= S. Without past, S = T. Computation is in f32.
//
// Numerics: sums over keys (over queries for dk, dv) run in one fixed order that depends on the
// description and the target, not on how work items are split.
#pragma once

#include "codegen/cpu/Matmul.h"
#include "ir/AttentionScores.h"

namespace lmc::cpu {

enum class AttentionKind {
  Forward,
  Dq,
  DkDv,
  Dqkv, ///< the adjoints take no past
};

struct AttentionDescription {
  Extent batch, queries, keys; ///< B, T, S; B and T of at most one symbolic dimension each
  Extent poolPages;            ///< N; of paged caches, whose pages have pageTokens tokens
  int64_t pageTokens = 0;      ///< 0: keys and values are [B, S, G, D]
  int64_t heads = 1, keyHeads = 1, headDim = 1;
  lm::AttentionScores scores;
};

/// Where an operand lies; strides in elements, the head dimension is contiguous. For lse and delta
/// one element is meant. Keys and values of the forward kernel may be i8: rows of bytes (ir/CacheRows.h).
struct AttentionOperand {
  mlir::Value pointer;
  mlir::Value offset; ///< i64 elements to the first one; null: 0
  mlir::Type storage;
  Extent batchStride, tokenStride, headStride;
};

/// Work item = one batch entry, one head (a key head for DkDv, Dqkv and decode), and a tile of
/// `columns` queries (keys for DkDv; for Dqkv all tiles of keys, one after the other). It meets the
/// other side in tiles of `rows`.
struct AttentionPlan {
  AttentionKind kind = AttentionKind::Forward;
  llvm::SmallVector<ItemFactor> items;
  int64_t grain = 1; ///< causal items differ in size, and the long ones come first
  int64_t scratchBytes = 0;

  bool decode = false; ///< one query: lanes run along D, and over keys for the softmax
  unsigned lanes = 0;
  int64_t depth = 0;                         ///< D rounded up to whole vectors
  int64_t columns = 0, rows = 0;             ///< of a tile
  int64_t group = 0;                         ///< columns that run through all phases together
  unsigned productRows = 0;                  ///< register tile of scores: this by group
  unsigned sumColumns = 0, sumVectors = 0;   ///< register tile of weighted sums
  llvm::SmallVector<int64_t> scratchOffsets; ///< bytes, by AttentionEmitter::Area
};

/// i32 numbers of each sequence: strides in elements. A null pointer: there are none.
struct AttentionNumbers {
  mlir::Value pointer, offset; ///< null offset: 0
  Extent batchStride = Extent(0), stride = Extent(0);
};

AttentionPlan planAttention(const AttentionDescription &description, AttentionKind kind,
                            const Target &target);

/// k and v of a paged cache are pools: their batchStride is that of pages.
struct AttentionForwardOperands {
  AttentionOperand q, k, v, out, lse;
  AttentionNumbers past, pages;
};
void emitAttentionForward(Emit &emit, const AttentionDescription &description,
                          const AttentionPlan &plan, const AttentionForwardOperands &operands);

/// dq = scale dS k with P = exp(S - lse), dS = P (dout v^T - delta), with a soft cap times
/// 1 - (S / cap)^2; delta = rowsum(dout * out).
struct AttentionDqOperands {
  AttentionOperand q, k, v, lse, delta, dout, dq;
};
void emitAttentionDq(Emit &emit, const AttentionDescription &description, const AttentionPlan &plan,
                     const AttentionDqOperands &operands);

/// dk = scale dS^T q, dv = P^T dout, summed over the query heads of a key head.
struct AttentionDkDvOperands {
  AttentionOperand q, k, v, lse, delta, dout, dk, dv;
};
void emitAttentionDkDv(Emit &emit, const AttentionDescription &description,
                       const AttentionPlan &plan, const AttentionDkDvOperands &operands);

/// All three; scores and their cotangents are computed once. Scratch has the f32 sums of dq for one
/// item: linear in T.
struct AttentionDqkvOperands : AttentionDkDvOperands {
  AttentionOperand dq;
};
void emitAttentionDqkv(Emit &emit, const AttentionDescription &description,
                       const AttentionPlan &plan, const AttentionDqkvOperands &operands);

} // namespace lmc::cpu
