// What one rendering may cost: templates come with models that anyone may publish, and conversations from
// clients, so that every loop and every text that is made counts.
#pragma once

#include "runtime/Error.h"

#include <cstdint>

namespace lmc::chat {

struct Limits {
  int64_t steps = 2'000'000; ///< nodes evaluated, elements visited, 256 bytes of text read each
  int64_t bytes = 256 << 20; ///< of all values made, whether they are still held or not
  int64_t output = 32 << 20; ///< bytes of the rendered text
  int depth = 1000;          ///< expressions, statements and macro calls in one another
};

/// Containers in containers, and expressions or blocks in one another: all walks of them recurse.
constexpr int maxNesting = 100;

class Budget {
public:
  explicit Budget(const Limits &limits) : limits(limits) {}

  void step(int64_t count = 1) {
    if ((steps += count) > limits.steps)
      fail("the template takes more than {} steps", limits.steps);
  }
  /// Of text that is about to be made.
  void bytes(int64_t count) {
    if ((made += count) > limits.bytes)
      fail("the template makes more than {} bytes of values", limits.bytes);
  }
  /// Of text that is about to be looked through.
  void read(int64_t count) { step(count / 256); }

  const Limits limits;

private:
  int64_t steps = 0, made = 0;
};

} // namespace lmc::chat
