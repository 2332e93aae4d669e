#include "frontend/tokenizer/Normalizer.h"

#include "runtime/Error.h"

#include <cassert>

namespace lmc {

using unicode::Character;

/// Replacements of replacements grow without end; no published normalizer makes a text 64 times as
/// long.
static void checkGrowth(size_t before, size_t after) {
  constexpr size_t free = 1 << 20, most = 64;
  if (after > free + most * before)
    fail("the tokenizer's replacements make a text of {} bytes longer than {}", before,
         free + most * before);
}

std::string replaceAll(std::string_view text, std::string_view from, std::string_view to) {
  assert(!from.empty());
  std::string result;
  result.reserve(text.size());
  for (size_t position = 0;;) {
    size_t found = text.find(from, position);
    result += text.substr(position, found - position);
    if (found == std::string_view::npos)
      return result;
    result += to;
    position = found + from.size();
    checkGrowth(text.size(), result.size());
  }
}

std::string replaceMatches(std::string_view text, const SplitPattern &pattern,
                           std::string_view to) {
  std::vector<SplitPattern::Range> matches;
  pattern.findAll(text, matches);
  std::string result;
  size_t position = 0;
  for (auto [begin, end] : matches) {
    result += text.substr(position, begin - position);
    result += to;
    position = end;
    checkGrowth(text.size(), result.size());
  }
  return result += text.substr(position);
}

/// The blocks that BERT spaces out, with the gap that Hugging Face's list has at U+2B820.
static bool isIdeograph(char32_t c) {
  if (c < 0x3400)
    return false;
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

namespace {
struct Apply {
  std::string_view text;
  bool fresh;

  std::string operator()(const PrependStep &step) const {
    return fresh && !text.empty() ? step.prefix + std::string(text) : std::string(text);
  }
  std::string operator()(const ReplaceStep &step) const {
    return replaceAll(text, step.from, step.to);
  }
  std::string operator()(const ReplaceMatchesStep &step) const {
    return replaceMatches(text, *step.pattern, step.to);
  }
  std::string operator()(const FormStep &step) const { return unicode::toForm(text, step.form); }
  std::string operator()(const StripStep &step) const {
    size_t begin = text.size(), end = 0, at = 0;
    unicode::forEach(text, [&](Character c, std::string_view) {
      if (!(c.classes & unicode::Space)) {
        begin = std::min(begin, at);
        end = at + c.length;
      }
      at += c.length;
    });
    if (!step.left)
      begin = 0;
    if (!step.right)
      end = text.size();
    return std::string(begin < end ? text.substr(begin, end - begin) : "");
  }
  std::string operator()(const FoldStep &step) const {
    uint16_t changed = step.dropped | (step.lowercase ? unicode::Capital : 0);
    auto kept = [&](Character c) { return !(c.classes & changed); };
    return unicode::edited(text, kept, [&](Character c, std::string_view, std::string &result) {
      if (!(c.classes & step.dropped))
        unicode::appendLower(result, c.point);
    });
  }
  std::string operator()(const BertStep &step) const {
    auto dropped = [](Character c) {
      bool space = c.point == '\t' || c.point == '\n' || c.point == '\r';
      return !space && (c.point == 0xFFFD || c.classes & unicode::Other);
    };
    auto kept = [&](Character c) {
      bool clean =
          c.point == ' ' || !(c.point == 0xFFFD || c.classes & (unicode::Other | unicode::Space));
      return (clean || !step.clean) && !(step.spaceIdeographs && isIdeograph(c.point));
    };
    return unicode::edited(text, kept,
                           [&](Character c, std::string_view bytes, std::string &result) {
                             if (step.spaceIdeographs && isIdeograph(c.point))
                               result.append(" ").append(bytes).append(" ");
                             else if (!dropped(c))
                               result += ' ';
                           });
  }
  std::string operator()(const CharsmapStep &step) const { return step.map->normalize(text); }
};
} // namespace

std::string normalize(const std::vector<NormalizeStep> &steps, std::string_view text, bool fresh) {
  if (steps.empty())
    return std::string(text);
  std::string result = std::visit(Apply{text, fresh}, steps[0]);
  for (size_t i = 1; i < steps.size(); ++i) {
    result = std::visit(Apply{result, fresh}, steps[i]);
    checkGrowth(text.size(), result.size());
  }
  return result;
}

bool normalizesInParts(const NormalizeStep &step) {
  if (auto *charsmap = std::get_if<CharsmapStep>(&step))
    return charsmap->map->leavesSpaces();
  if (auto *replace = std::get_if<ReplaceMatchesStep>(&step)) // published with T5
    return replace->pattern->source() == " {2,}" && replace->to == " ";
  return std::holds_alternative<FormStep>(step) || std::holds_alternative<FoldStep>(step) ||
         std::holds_alternative<BertStep>(step);
}

} // namespace lmc
