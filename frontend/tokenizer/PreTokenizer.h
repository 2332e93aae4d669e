// The pre_tokenizer of a tokenizer.json, as data: from a normalised text to the pieces that a model
// sees. Private to this folder.
#pragma once

#include "frontend/tokenizer/SplitPattern.h"

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lmc {

enum class SplitBehavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous };

/// Cuts pieces at the matches of a pattern, or (invert) at what lies between them.
struct SplitStep {
  std::shared_ptr<const SplitPattern> pattern;
  SplitBehavior behavior = SplitBehavior::Isolated;
  bool invert = false;
};
/// Cuts pieces at each character that has one of the classes (unicode::Class).
struct SplitClassStep {
  uint16_t classes = 0;
  SplitBehavior behavior = SplitBehavior::Isolated;
};
/// Drops the characters of some classes; each of others is a piece of its own.
struct SeparateStep {
  uint16_t dropped = 0, isolated = 0;
};
/// \w+|[^\w\s]+
struct WordsStep {};
/// Puts a space before a piece that does not start with one.
struct PrefixSpaceStep {};
struct MetaspaceStep {
  enum class Prepend { Always, First, Never };
  std::string replacement;
  Prepend prepend = Prepend::Always;
  bool split = true;
};
using PieceStep = std::variant<SplitStep, SplitClassStep, SeparateStep, WordsStep, PrefixSpaceStep,
                               MetaspaceStep>;

/// Pieces in order; they point into the text given or into owned.
struct Pieces {
  std::vector<std::string_view> list;
  std::deque<std::string> owned;
};
/// atStart: text begins a document.
void preTokenize(const std::vector<PieceStep> &steps, std::string_view text, bool atStart,
                 Pieces &pieces);

} // namespace lmc
