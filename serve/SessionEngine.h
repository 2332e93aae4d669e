// An Engine on a compiled inference executable: programs prefill and decode, one KV cache a slot, or
// pages of a pool that all sequences share.
#pragma once

#include "serve/Engine.h"

#include "runtime/PagePool.h"
#include "runtime/Session.h"

#include <optional>

namespace lmc {

class SessionEngine : public Engine {
public:
  /// tokenizerVocab: ids that the tokenizer knows; a model's vocabulary may be padded beyond them,
  /// and what lies there is never sampled. Throws Error where the executable has no prefill and
  /// decode.
  SessionEngine(std::shared_ptr<const Executable> executable, ModelInfo info,
                int64_t tokenizerVocab, int threads, int slots);

  const ModelInfo &info() const override { return model; }
  std::unique_ptr<Sequence> start() override { return startFor(model.context); }
  std::unique_ptr<Sequence> startFor(int64_t tokens) override;
  int64_t cachedTokens() const override;
  int slots() const override { return static_cast<int>(taken.size()); }
  uint64_t arenaBytes() const override { return session.arenaBytes(); }

  /// With a program decode_batch (ProgramOptions::decodeBatch). Its bits are not those of decode: where it is there,
  /// single tokens go through it, too.
  int64_t mostSteps() const override { return draws() ? batch : 0; }
  std::vector<int32_t> appendAndDraw(std::span<const Step> steps) override;

  /// With a program verify (ProgramOptions::draft).
  int64_t longestScore() const override { return draft; }

private:
  bool draws() const { return !drawing.id.empty(); }
  void choose(size_t row, const Draw &draw);

  friend class SessionSequence;
  std::shared_ptr<const Executable> executable;
  ModelInfo model;
  std::optional<PageLayout> layout;
  Session session;
  std::vector<bool> taken;
  std::optional<PagePool> pool; // where caches are paged
  int64_t tokenizerVocab;
  int64_t chunk = 0, draft = 0; // the most tokens of a prefill and of a verify
  int64_t batch = 0;            // the most sequences of a decode_batch
  // What runs read and make, where it lies; those of a draw where prefill and decode make one.
  std::span<int32_t> tokens, past, last, pages;
  struct {
    std::span<float> temperature, topP;
    std::span<int32_t> topK, count, bits, id;
  } drawing;
  bool showsLogits = false; // whether runs bring logits to the host
};

} // namespace lmc
