#include "serve/Speculation.h"

#include "runtime/Philox.h"

#include <algorithm>
#include <unordered_map>

namespace lmc {
namespace {

class LookupDrafter : public Drafter {
public:
  Draft draft(std::span<const int32_t> text, int64_t most) override {
    for (size_t length = std::min(longest, text.size()); length > 0; --length)
      if (auto found = latest(text, length); !found.empty())
        return {{found.begin(), found.begin() + std::min<int64_t>(most, std::ssize(found))}, {}};
    return {};
  }

private:
  static constexpr size_t longest = 4;

  /// What stands behind the latest earlier occurrence of the text's last `length` tokens.
  static std::span<const int32_t> latest(std::span<const int32_t> text, size_t length) {
    auto end = text.last(length);
    for (size_t at = text.size() - length; at-- > 0;)
      if (std::ranges::equal(text.subspan(at, length), end))
        return text.subspan(at + length);
    return {};
  }
};

class ModelDrafter : public Drafter {
public:
  ModelDrafter(Engine &engine, std::unique_ptr<Sequence> sequence, const SamplingOptions &options)
      : engine(engine), sequence(std::move(sequence)), options(options) {}

  Draft draft(std::span<const int32_t> text, int64_t most) override {
    const ModelInfo &model = engine.info();
    most = std::min(most, model.context - std::ssize(text));
    if (most < 1)
      return {};
    // The last token is appended again even where nothing else is new: its logits are needed.
    auto same = std::ranges::mismatch(held, text).in1 - held.begin();
    forget(std::min<int64_t>(same, std::ssize(text) - 1));
    std::span<const float> logits = append(text.subspan(held.size()));
    Draft result;
    while (true) {
      auto q = distribution(logits, model.vocab, options);
      int32_t token = pick(q, Philox(options.seed, draftStream).bits64(held.size()));
      result.tokens.push_back(token);
      result.distributions.push_back(std::move(q));
      if (std::ssize(result.tokens) == most ||
          std::ranges::find(model.eos, token) != model.eos.end())
        return result;
      logits = append(std::span(&token, 1));
    }
  }

private:
  static constexpr uint64_t draftStream = 1; // the sampler's own draws are of stream 0

  std::span<const float> append(std::span<const int32_t> tokens) {
    held.insert(held.end(), tokens.begin(), tokens.end());
    return sequence->append(tokens);
  }
  void forget(int64_t length) {
    held.resize(length);
    sequence->truncate(length);
  }

  Engine &engine;
  std::unique_ptr<Sequence> sequence;
  SamplingOptions options;
  std::vector<int32_t> held; // in the sequence's cache
};

double probabilityOf(const std::vector<Scored> &distribution, int32_t token) {
  auto found = std::ranges::find(distribution, token, &Scored::token);
  return found == distribution.end() ? 0 : found->value;
}

} // namespace

std::unique_ptr<Drafter> makeLookupDrafter() { return std::make_unique<LookupDrafter>(); }

std::unique_ptr<Drafter> makeModelDrafter(Engine &engine, const SamplingOptions &options) {
  auto sequence = engine.start();
  return sequence ? std::make_unique<ModelDrafter>(engine, std::move(sequence), options) : nullptr;
}

double acceptance(const std::vector<Scored> &p, const std::vector<Scored> &q, int32_t x) {
  return std::min(1.0, probabilityOf(p, x) / probabilityOf(q, x));
}

std::vector<Scored> remainder(const std::vector<Scored> &p, const std::vector<Scored> &q) {
  std::unordered_map<int32_t, double> taken;
  for (const Scored &scored : q)
    taken[scored.token] = scored.value;
  std::vector<Scored> rest;
  double total = 0;
  for (const Scored &scored : p) {
    auto found = taken.find(scored.token);
    double value = scored.value - (found == taken.end() ? 0 : found->second);
    if (value > 0)
      rest.push_back({scored.token, value}), total += value;
  }
  if (rest.empty())
    return p; // p and q are equal but for rounding, and nothing is ever rejected
  for (Scored &scored : rest)
    scored.value /= total;
  return rest;
}

} // namespace lmc
