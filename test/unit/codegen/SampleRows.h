// Rows to draw from, and what runtime/Sampling.h draws: kernels must draw the very same ids.
#pragma once

#include "ir/Tensor.h"
#include "runtime/Philox.h"
#include "runtime/Sampling.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace lmc::test {

class SampleRows {
public:
  explicit SampleRows(int64_t vocab) : vocab(vocab) {}

  /// One row more. `count`: ids that may be drawn, 0: all.
  void add(std::vector<float> row, const Draw &draw, int32_t count = 0) {
    size_t used = count > 0 && count < vocab ? count : row.size();
    expected.push_back(drawnId(keptIds(std::span(row).first(used), draw), draw.bits));
    logits.insert(logits.end(), row.begin(), row.end());
    temperature.push_back(draw.temperature);
    topK.push_back(draw.topK);
    topP.push_back(draw.topP);
    counts.push_back(count);
    for (int shift : {0, 32})
      bits.push_back(static_cast<int32_t>(draw.bits >> shift));
  }

  /// The operands of lm.sample.
  std::vector<lm::Tensor> operands() const {
    int64_t rows = static_cast<int64_t>(expected.size());
    return {{{rows, vocab}, logits}, {{rows}, temperature}, {{rows}, topK},
            {{rows}, topP},          {{rows}, counts},      {{rows, 2}, bits}};
  }

  /// A function of these operands, @f.
  std::string text() const {
    std::string rows = std::to_string(expected.size()), n = "tensor<" + rows + "xf32>",
                i = "tensor<" + rows + "xi32>";
    std::string x = "tensor<" + rows + "x" + std::to_string(vocab) + "xf32>",
                b = "tensor<" + rows + "x2xi32>";
    return "func.func @f(%x: " + x + ", %t: " + n + ", %k: " + i + ", %p: " + n + ", %c: " + i +
           ", %b: " + b + ") -> " + i + " {\n  %y = lm.sample %x, %t, %k, %p, %c, %b : (" + x +
           ", " + n + ", " + i + ", " + n + ", " + i + ", " + b + ") -> " + i +
           "\n  return %y : " + i + "\n}\n";
  }

  int64_t vocab;
  std::vector<double> expected;

private:
  std::vector<double> logits, temperature, topK, topP, counts, bits;
};

/// All filters over rows of several kinds: spread, nearly equal, many ties, steep, with -inf, malformed.
inline SampleRows sampleRows(int64_t vocab, uint64_t seed) {
  constexpr float inf = std::numeric_limits<float>::infinity();
  Philox random(seed, 77);
  uint64_t next = 0;
  auto uniform = [&] { return random.uniform(next++); };
  auto row = [&](auto make) {
    std::vector<float> made(vocab);
    for (float &x : made)
      x = make();
    return made;
  };
  std::vector<std::vector<float>> kinds = {
      row([&] { return random.normal(next++) * 3; }),
      row([&] { return 5 + 1e-5f * uniform(); }),
      row([&] { return std::floor(uniform() * 5) - 2; }),
      row([&] { return 60 * uniform() - 90; }),
      row([&] { return uniform() < 0.5f ? -inf : random.normal(next++); }),
      row([&] { return uniform() < 0.5f ? -0.f : 0.f; }),
      row([&] { return (uniform() - 0.5f) * 6e38f; }),
      row([&] { return random.normal(next++) * 1e-41f; }),
  };
  auto spoiled = [&](float with) {
    auto one = kinds[0];
    one[random.below(next++, vocab)] = with;
    return one;
  };
  kinds[4][random.below(next++, vocab)] = 1; // not all are -inf
  kinds.push_back(spoiled(std::numeric_limits<float>::quiet_NaN()));
  kinds.push_back(spoiled(-std::numeric_limits<float>::quiet_NaN()));
  kinds.push_back(spoiled(inf));
  kinds.push_back(spoiled(-inf));
  if (vocab == 1)
    kinds.back()[0] = -inf;
  kinds.push_back(std::vector<float>(vocab, -inf));
  const auto most = static_cast<int32_t>(vocab);
  const Draw options[] = {
      {.temperature = 0},
      {.temperature = 1},
      {.temperature = 0.7f, .topK = 3},
      {.temperature = 1.3f, .topP = 0.9f},
      {.temperature = 2, .topK = most / 2 + 1, .topP = 0.5f},
      {.temperature = 1, .topK = 40, .topP = 0.95f},
      {.temperature = 1, .topK = most, .topP = 1e-7f},
      {.temperature = 1e-3f, .topK = 2147483647, .topP = 0.999f},
      {.temperature = 3e38f, .topK = 7},
      {.temperature = 1, .topK = -1, .topP = 0},
      {.temperature = 1e-45f},
  };
  SampleRows rows(vocab);
  size_t number = 0;
  for (const auto &kind : kinds)
    for (Draw draw : options) {
      draw.bits = random.bits64(next++);
      if (number % 13 == 0)
        draw.bits = 0;
      if (number % 17 == 0)
        draw.bits = ~0ull;
      rows.add(kind, draw, number % 3 ? 0 : static_cast<int32_t>(number % (vocab + 5)));
      ++number;
    }
  return rows;
}

} // namespace lmc::test
