// A model that is there, as it will be served: prompts and single tokens.
#include "tools/bench/Case.h"
#include "tools/bench/ModelWork.h"

#include "runtime/Error.h"
#include "runtime/PagePool.h"
#include "runtime/Philox.h"
#include "runtime/Session.h"

#include <algorithm>
#include <cmath>
#include <set>

namespace lmc::bench {
namespace {

/// The model in a session of its own, with the same drawn tokens in every run.
class Sequence : public Workload {
public:
  Sequence(const BenchedModel &model, const Machine &on)
      : model(model), running(model.executable, {on.threads, 1}) {
    for (const auto &dim : model.executable->message().dims())
      if (dim.name() == "chunk")
        chunk = dim.max();
    arenaBytes = double(running.arenaBytes());
    usePagesInOrder(running);
  }

  /// Logits of the last of five tokens: in one run of @prefill and in five of @decode.
  std::string check() override {
    constexpr int64_t numTokens = 5;
    prefill(numTokens);
    std::vector<float> expected = logits();
    for (int64_t i = 0; i < numTokens; ++i)
      decode(i);
    std::vector<float> got = logits();
    double largest = 0, error = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      largest = std::max(largest, std::abs(double(expected[i])));
      double off = std::abs(double(got[i]) - expected[i]);
      error = off <= error ? error : off; // a NaN is kept
    }
    // Rounding that differs may move a row's code by one where rows are quantised or in bf16.
    double tolerance = model.rounds ? 3e-2 : 1e-3;
    if (!(error <= tolerance * largest))
      fail("logits of @decode are {} off those of @prefill, the largest is {}", error, largest);
    return fmt::format("decode as prefill, {:.1e} off", error / largest);
  }

protected:
  void prefill(int64_t count) {
    for (int64_t past = 0; past < count;) {
      int64_t piece = std::min(chunk, count - past);
      for (int64_t i = 0; i < piece; ++i)
        running.i32("tokens")[i] = tokenAt(past + i);
      running.i32("past")[0] = static_cast<int32_t>(past);
      running.i32("last")[0] = static_cast<int32_t>(piece - 1);
      running.run("prefill", running.dimsWith("chunk", piece));
      past += piece;
    }
  }
  void decode(int64_t past) {
    running.i32("tokens")[0] = tokenAt(past);
    running.i32("past")[0] = static_cast<int32_t>(past);
    running.run("decode");
  }
  /// Also waits until they are there.
  std::vector<float> logits() {
    std::span<const float> row = running.f32("logits").first(model.config.vocab);
    return {row.begin(), row.end()};
  }

  BenchedModel model;
  Session running;

private:
  int32_t tokenAt(int64_t place) const {
    return static_cast<int32_t>(Philox(3).below(static_cast<uint64_t>(place), model.config.vocab));
  }

  int64_t chunk = 1;
};

class Prompt : public Sequence {
public:
  Prompt(const BenchedModel &model, const Machine &on) : Sequence(model, on) {
    tokens = double(model.tokens);
    flops = tokens * flopsPerToken(model.config, tokens);
    bytes = decodeBytes(model.config, *model.executable, 0);
  }
  void run() override {
    prefill(model.tokens);
    logits();
  }
};

/// One token, again and again behind the same others.
class NextToken : public Sequence {
public:
  NextToken(const BenchedModel &model, int64_t past, const Machine &on)
      : Sequence(model, on), past(past) {
    tokens = 1;
    flops = flopsPerToken(model.config, 2 * double(past));
    bytes = decodeBytes(model.config, *model.executable, past);
  }
  void run() override {
    decode(past);
    logits();
  }
  Session *session() override { return &running; }
  const char *program() const override { return "decode"; }

private:
  int64_t past;
};

} // namespace

void addModel(std::vector<Case> &cases, const BenchedModel &model, const Machine &on) {
  std::string shape = fmt::format("{} layers, width {}, V={}", model.config.layers,
                                  model.config.width, model.config.vocab);
  cases.push_back({fmt::format("prefill.{}.t{}", model.name, model.tokens), shape, Bound::Compute,
                   [=] { return std::make_unique<Prompt>(model, on); }});
  std::set<int64_t> pasts = {std::min<int64_t>(16, model.tokens), model.tokens};
  for (int64_t past : pasts)
    cases.push_back({fmt::format("decode.{}.past{}", model.name, past), shape, Bound::Memory,
                     [=] { return std::make_unique<NextToken>(model, past, on); }});
}

} // namespace lmc::bench
