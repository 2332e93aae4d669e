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

  std::span<const float> logits() override { return logits(1, row); }

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
    engine.choose(0, draw);
  }

  /// [rows, V] from a row on, without what the tokenizer does not know.
  std::span<const float> logits(size_t rows, size_t first = 0) {
    auto vocab = static_cast<size_t>(engine.model.vocab);
    engine.showsLogits = true;
    std::span<float> all = engine.session.f32("logits").subspan(first * vocab, rows * vocab);
    for (size_t row = 0; row < rows && engine.tokenizerVocab < engine.model.vocab; ++row)
      std::ranges::fill(all.subspan(row * vocab, vocab).subspan(engine.tokenizerVocab),
                        -std::numeric_limits<float>::infinity());
    return all;
  }

  /// What row `at` of a run's inputs says of this sequence, to which `count` tokens come.
  void place(size_t at, int64_t count) {
    engine.past[at] = static_cast<int32_t>(past);
    if (!lease)
      return;
    lease->grow(past + count);
    size_t entries = engine.layout->tablePages;
    std::span<int32_t> table = engine.pages.subspan(at * entries, entries);
    std::ranges::fill(table, -1);
    std::ranges::copy(lease->pages(), table.begin());
  }

  void run(std::string_view program, std::span<const int32_t> tokens) {
    Session &session = engine.session;
    auto count = static_cast<int64_t>(tokens.size());
    std::ranges::copy(tokens, engine.tokens.begin());
    place(0, count);
    if (program == "prefill")
      engine.last[0] = static_cast<int32_t>(count) - 1;
    const char *dim = program == "verify" ? "draft" : "chunk";
    if (program == "decode" && engine.batch)
      program = "decode_batch", dim = "sequences";
    session.run(program, session.dimsWith(dim, count), lease ? 0 : slot);
    past += count;
    row = 0;
  }

  friend class SessionEngine;

  SessionEngine &engine;
  int slot;
  std::unique_ptr<PagePool::Lease> lease;
  int64_t past = 0;
  size_t row = 0; ///< of the logits, in which those behind its last token are
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
    else if (dim.name() == "sequences" && layout)
      batch = dim.max();
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
  std::ranges::fill(drawing.count, static_cast<int32_t>(std::min(tokenizerVocab, model.vocab)));
}

void SessionEngine::choose(size_t row, const Draw &draw) {
  drawing.temperature[row] = draw.temperature;
  drawing.topK[row] = draw.topK;
  drawing.topP[row] = draw.topP;
  drawing.bits[2 * row] = static_cast<int32_t>(draw.bits);
  drawing.bits[2 * row + 1] = static_cast<int32_t>(draw.bits >> 32);
}

std::vector<int32_t> SessionEngine::appendAndDraw(std::span<const Step> steps) {
  auto count = static_cast<int64_t>(steps.size());
  if (count < 1 || count > mostSteps())
    fail("{} sequences are advanced at a time at most, got {}", mostSteps(), count);
  for (const Step &step : steps)
    static_cast<SessionSequence *>(step.sequence)->check({&step.token, 1});
  if (std::exchange(showsLogits, false))
    session.release("logits");
  for (size_t i = 0; i < steps.size(); ++i) {
    tokens[i] = steps[i].token;
    static_cast<SessionSequence *>(steps[i].sequence)->place(i, 1);
    choose(i, steps[i].draw);
  }
  session.run("decode_batch", session.dimsWith("sequences", count));
  for (size_t i = 0; i < steps.size(); ++i) {
    auto *sequence = static_cast<SessionSequence *>(steps[i].sequence);
    sequence->past += 1;
    sequence->row = i;
  }
  return {drawing.id.begin(), drawing.id.begin() + count};
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
