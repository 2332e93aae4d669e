// The normalizer of a tokenizer.json, as data. Bytes that are not UTF-8 pass through every step.
// Private to this folder.
#pragma once

#include "frontend/tokenizer/Charsmap.h"
#include "frontend/tokenizer/SplitPattern.h"
#include "frontend/tokenizer/Unicode.h"

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
struct ReplaceMatchesStep {
  std::shared_ptr<const SplitPattern> pattern;
  std::string to;
};
struct FormStep {
  unicode::Form form;
};
struct StripStep { // white space
  bool left, right;
};
struct FoldStep {
  uint16_t dropped; // characters of any of these classes go
  bool lowercase;
};
/// What only BERT does.
struct BertStep {
  bool clean;           // control characters go, white space becomes spaces
  bool spaceIdeographs; // spaces around Chinese characters, so that each is a word
};
struct CharsmapStep {
  std::shared_ptr<const Charsmap> map;
};
using NormalizeStep = std::variant<PrependStep, ReplaceStep, ReplaceMatchesStep, FormStep,
                                   StripStep, FoldStep, BertStep, CharsmapStep>;

std::string replaceAll(std::string_view text, std::string_view from, std::string_view to);
std::string replaceMatches(std::string_view text, const SplitPattern &pattern, std::string_view to);

/// fresh: text begins a document or follows a special token; otherwise nothing is prepended.
std::string normalize(const std::vector<NormalizeStep> &steps, std::string_view text, bool fresh);

/// Whether normalising the parts of a text cut at "x| " (x: a visible ASCII character) gives the
/// parts of the normalised text, the second of which still begins with a space.
bool normalizesInParts(const NormalizeStep &step);

} // namespace lmc
