// A TrainableModel of a few lines: AdamW on a bigram table, deterministic to the bit, with faults
// on demand. And a BatchSource that counts.
#pragma once

#include "train/TrainableModel.h"

#include <cmath>
#include <csignal>
#include <functional>
#include <limits>
#include <map>

namespace lmc::test {

class ToyModel : public TrainableModel {
public:
  static constexpr int64_t vocab = 5;

  explicit ToyModel(std::vector<ParameterInfo> infos = {{"h.0.weight", {vocab, vocab}},
                                                        {"ln.bias", {3}}})
      : shapes(std::move(infos)) {
    for (const ParameterInfo &info : shapes) {
      size_t count = 1;
      for (int64_t extent : info.shape)
        count *= static_cast<size_t>(extent);
      std::vector<float> &values = tensors[info.name];
      values.resize(count);
      for (size_t i = 0; i < count; ++i)
        values[i] = 0.01f * static_cast<float>(i % 7) - 0.02f;
      tensors["adamw.m." + info.name].resize(count);
      tensors["adamw.v." + info.name].resize(count);
    }
  }

  std::vector<ParameterInfo> parameters() const override { return shapes; }
  std::span<float> state(std::string_view name) override {
    if (onState)
      onState();
    return tensors.at(std::string(name));
  }
  int64_t step() const override { return taken; }
  void setStep(int64_t step) override { taken = step; }

  StepResult step(std::span<const int32_t> tokens, std::span<const int32_t> targets) override {
    if (taken + 1 == nanAtStep)
      return {std::numeric_limits<float>::quiet_NaN(), 1, 0};
    std::vector<float> &weights = tensors.at(shapes[0].name);
    std::vector<double> gradient(weights.size());
    double loss = lossAndGradient(tokens, targets, gradient);
    double norm = 0;
    for (double g : gradient)
      norm += g * g;
    ++taken;
    float rate = 0.05f;
    std::vector<float> &m = tensors.at("adamw.m." + shapes[0].name);
    std::vector<float> &v = tensors.at("adamw.v." + shapes[0].name);
    auto t = static_cast<double>(taken);
    for (size_t i = 0; i < weights.size(); ++i) {
      m[i] = static_cast<float>(0.9 * m[i] + 0.1 * gradient[i]);
      v[i] = static_cast<float>(0.95 * v[i] + 0.05 * gradient[i] * gradient[i]);
      double root = std::sqrt(v[i] / (1 - std::pow(0.95, t))) + 1e-8;
      weights[i] -= static_cast<float>(rate * (m[i] / (1 - std::pow(0.9, t))) / root);
    }
    return {static_cast<float>(loss), static_cast<float>(std::sqrt(norm)), rate};
  }

  float evaluate(std::span<const int32_t> tokens, std::span<const int32_t> targets) override {
    std::vector<double> unused(tensors.at(shapes[0].name).size());
    return static_cast<float>(lossAndGradient(tokens, targets, unused));
  }

  std::optional<NonFinite> findNonFinite(std::span<const int32_t>,
                                         std::span<const int32_t>) override {
    return NonFinite{"lm.matmul", "layers.3.attn.q_proj"};
  }
  uint64_t arenaBytes() const override { return 1024; }
  std::vector<LedgerRow> ledger() const override { return {{"parameters", 1024, 1}}; }

  int64_t nanAtStep = -1;
  std::function<void()> onState; ///< at each state(), so also within each write of a checkpoint

private:
  /// Mean cross-entropy of a table of logits by the token before.
  double lossAndGradient(std::span<const int32_t> tokens, std::span<const int32_t> targets,
                         std::vector<double> &gradient) {
    const std::vector<float> &logits = tensors.at(shapes[0].name);
    double total = 0, share = 1.0 / static_cast<double>(tokens.size());
    for (size_t i = 0; i < tokens.size(); ++i) {
      size_t row = static_cast<size_t>(tokens[i]) * vocab;
      double sum = 0;
      for (size_t k = 0; k < vocab; ++k)
        sum += std::exp(double{logits[row + k]});
      for (size_t k = 0; k < vocab; ++k)
        gradient[row + k] += share * std::exp(double{logits[row + k]}) / sum;
      size_t target = row + static_cast<size_t>(targets[i]);
      gradient[target] -= share;
      total += share * (std::log(sum) - logits[target]);
    }
    return total;
  }

  std::vector<ParameterInfo> shapes;
  std::map<std::string, std::vector<float>> tensors;
  int64_t taken = 0;
};

} // namespace lmc::test
