#include "serve/SessionEngine.h"

#include "runtime/Error.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace lmc {

class SessionSequence : public Sequence {
public:
  /// `lease`: of a paged cache, else null.
  SessionSequence(SessionEngine &engine, int slot, std::unique_ptr<PagePool::Lease> lease)
      : engine(engine), slot(slot), lease(std::move(lease)) {}
  ~SessionSequence() override { engine.taken[slot] = false; }

  std::span<const float> append(std::span<const int32_t> tokens) override {
    extend(tokens, {});
    return logits();
  }

  bool draws() const override { return engine.draws(); }

  int32_t appendAndDraw(std::span<const int32_t> tokens, const Draw &draw) override {
    if (std::exchange(engine.showsLogits, false))
      engine.session.release("logits");
    extend(tokens, draw);
    return engine.drawing.id[0];
  }

  std::span<const float> logits() override { return logits(1); }

  std::span<const float> score(std::span<const int32_t> tokens) override {
    check(tokens);
    if (static_cast<int64_t>(tokens.size()) > engine.draft)
      fail("{} tokens are scored at a time at most, got {}", engine.draft, tokens.size());
    run("verify", tokens);
    return logits(tokens.size());
  }

  void truncate(int64_t length) override {
    if (length < 0 || length > past)
      fail("{} tokens cannot become {}", past, length);
    past = length; // what lies behind in the cache is overwritten before it is read
  }

  int64_t length() const override { return past; }

private:
  void check(std::span<const int32_t> tokens) const {
    if (tokens.empty() || past + static_cast<int64_t>(tokens.size()) > engine.model.context)
      fail("{} tokens do not fit behind {} in a context of {}", tokens.size(), past,
           engine.model.context);
    for (int32_t token : tokens)
      if (token < 0 || token >= engine.model.vocab)
        fail("token {} is outside the vocabulary of {}", token, engine.model.vocab);
  }

  /// `draw` is for the token behind the last one.
  void extend(std::span<const int32_t> tokens, const Draw &draw) {
    check(tokens);
    while (!tokens.empty()) {
      size_t count = std::min<size_t>(tokens.size(), engine.chunk);
      // Others are drawn for nobody: the most likely token costs least.
      choose(count == tokens.size() ? draw : Draw());
      run(count == 1 ? "decode" : "prefill", tokens.first(count));
      tokens = tokens.subspan(count);
    }
  }

  void choose(const Draw &draw) {
    if (!engine.draws())
      return;
    engine.drawing.temperature[0] = draw.temperature;
    engine.drawing.topK[0] = draw.topK;
    engine.drawing.topP[0] = draw.topP;
    engine.drawing.bits[0] = static_cast<int32_t>(draw.bits);
    engine.drawing.bits[1] = static_cast<int32_t>(draw.bits >> 32);
  }

  /// [rows, V], without what the tokenizer does not know.
  std::span<const float> logits(size_t rows) {
    auto vocab = static_cast<size_t>(engine.model.vocab);
    engine.showsLogits = true;
    std::span<float> all = engine.session.f32("logits").first(rows * vocab);
    for (size_t row = 0; row < rows && engine.tokenizerVocab < engine.model.vocab; ++row)
      std::ranges::fill(all.subspan(row * vocab, vocab).subspan(engine.tokenizerVocab),
                        -std::numeric_limits<float>::infinity());
    return all;
  }

  void run(std::string_view program, std::span<const int32_t> tokens) {
    Session &session = engine.session;
    std::ranges::copy(tokens, engine.tokens.begin());
    engine.past[0] = static_cast<int32_t>(past);
    if (lease) {
      lease->grow(past + static_cast<int64_t>(tokens.size()));
      std::ranges::fill(engine.pages, -1);
      std::ranges::copy(lease->pages(), engine.pages.begin());
    }
    if (program == "prefill")
      engine.last[0] = static_cast<int32_t>(tokens.size()) - 1;
    auto count = static_cast<int64_t>(tokens.size());
    session.run(program, session.dimsWith(program == "verify" ? "draft" : "chunk", count),
                lease ? 0 : slot);
    past += count;
  }

  SessionEngine &engine;
  int slot;
  std::unique_ptr<PagePool::Lease> lease;
  int64_t past = 0;
};

SessionEngine::SessionEngine(std::shared_ptr<const Executable> code, ModelInfo info,
                             int64_t tokenizerVocab, int threads, int slots)
    : executable(std::move(code)), model(std::move(info)), layout(pageLayout(*executable)),
      session(executable, {threads, layout ? 1 : slots}), taken(slots, false),
      tokenizerVocab(tokenizerVocab) {
  for (const auto &dim : executable->message().dims())
    if (dim.name() == "chunk")
      chunk = dim.max();
    else if (dim.name() == "draft")
      draft = dim.max();
  if (chunk == 0 || executable->findProgram("prefill") < 0 || executable->findProgram("decode") < 0)
    fail(
        "'{}' cannot generate: it has no prefill and decode programs; compile it with --mode infer",
        model.name);
  tokens = session.i32("tokens");
  past = session.i32("past");
  last = session.i32("last");
  if (layout) {
    pages = session.i32(kPages);
    pool.emplace(layout->poolPages, layout->pageTokens);
  }
  if (executable->findTensor(kSampled) < 0)
    return; // made before programs drew, or from IR
  drawing = {session.f32(kSampleTemperature), session.f32(kSampleTopP), session.i32(kSampleTopK),
             session.i32(kSampleCount),       session.i32(kSampleBits), session.i32(kSampled)};
  drawing.count[0] = static_cast<int32_t>(std::min(tokenizerVocab, model.vocab));
}

std::unique_ptr<Sequence> SessionEngine::startFor(int64_t tokens) {
  auto free = std::ranges::find(taken, false);
  if (free == taken.end())
    return nullptr;
  std::unique_ptr<PagePool::Lease> lease;
  if (pool && !(lease = pool->lease(std::min(tokens, model.context))))
    return nullptr;
  *free = true;
  return std::make_unique<SessionSequence>(*this, static_cast<int>(free - taken.begin()),
                                           std::move(lease));
}

int64_t SessionEngine::cachedTokens() const {
  return layout ? layout->poolTokens() : Engine::cachedTokens();
}

} // namespace lmc
