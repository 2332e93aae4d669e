// The steps between a text and the pieces that byte pair encoding sees: normalizer and
// pre_tokenizer of a tokenizer.json, as data.
#pragma once

#include "frontend/tokenizer/SplitPattern.h"

#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace lmc {

struct PrependStep { // not to an empty text
  std::string prefix;
};
struct ReplaceStep {
  std::string from, to;
};
using NormalizeStep = std::variant<PrependStep, ReplaceStep>;

/// fresh: text begins a document or follows a special token; otherwise nothing is prepended.
std::string normalize(const std::vector<NormalizeStep> &steps, std::string_view text, bool fresh);

enum class SplitBehavior { Removed, Isolated, MergedWithPrevious, MergedWithNext };

/// Cuts pieces at the matches of a pattern, or (invert) at what lies between them.
struct SplitStep {
  std::shared_ptr<const SplitPattern> pattern;
  SplitBehavior behavior = SplitBehavior::Isolated;
  bool invert = false;
};
/// Puts a space before a piece that does not start with one.
struct PrefixSpaceStep {};
struct MetaspaceStep {
  enum class Prepend { Always, First, Never };
  std::string replacement;
  Prepend prepend = Prepend::Always;
  bool split = true;
};
using PieceStep = std::variant<SplitStep, PrefixSpaceStep, MetaspaceStep>;

/// Pieces in order; they point into the text given or into owned.
struct Pieces {
  std::vector<std::string_view> list;
  std::deque<std::string> owned;
};
/// atStart: text begins a document.
void preTokenize(const std::vector<PieceStep> &steps, std::string_view text, bool atStart,
                 Pieces &pieces);

} // namespace lmc
