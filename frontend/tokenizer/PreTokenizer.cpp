#include "frontend/tokenizer/PreTokenizer.h"

#include <cassert>

namespace lmc {

static std::string replaceAll(std::string_view text, std::string_view from, std::string_view to) {
  assert(!from.empty());
  std::string result;
  for (size_t position = 0;;) {
    size_t found = text.find(from, position);
    result += text.substr(position, found - position);
    if (found == std::string_view::npos)
      return result;
    result += to;
    position = found + from.size();
  }
}

std::string normalize(const std::vector<NormalizeStep> &steps, std::string_view text, bool fresh) {
  std::string result(text);
  for (const NormalizeStep &step : steps) {
    if (auto *replace = std::get_if<ReplaceStep>(&step))
      result = replaceAll(result, replace->from, replace->to);
    else if (fresh && !result.empty())
      result.insert(0, std::get<PrependStep>(step).prefix);
  }
  return result;
}

/// Appends the parts of piece, cut at matches, which lie in order and do not overlap.
static void cut(std::string_view piece, const std::vector<SplitPattern::Range> &matches,
                SplitBehavior behavior, bool invert, std::vector<std::string_view> &parts) {
  size_t pending = 0; // start of what has not been given out
  auto give = [&](size_t begin, size_t end) {
    if (end > begin)
      parts.push_back(piece.substr(begin, end - begin));
  };
  size_t previousEnd = 0;
  auto visit = [&](size_t begin, size_t end, bool isCut) {
    if (begin == end)
      return;
    switch (behavior) {
    case SplitBehavior::Removed:
      if (!isCut)
        give(begin, end);
      break;
    case SplitBehavior::Isolated:
      give(begin, end);
      break;
    case SplitBehavior::MergedWithPrevious:
      if (isCut) {
        give(pending, end);
        pending = end;
      }
      break;
    case SplitBehavior::MergedWithNext:
      if (isCut) {
        give(pending, begin);
        pending = begin;
      }
      break;
    }
  };
  for (auto [begin, end] : matches) {
    visit(previousEnd, begin, invert);
    visit(begin, end, !invert);
    previousEnd = end;
  }
  visit(previousEnd, piece.size(), invert);
  if (behavior == SplitBehavior::MergedWithPrevious || behavior == SplitBehavior::MergedWithNext)
    give(pending, piece.size());
}

static void apply(const SplitStep &step, Pieces &pieces) {
  std::vector<std::string_view> parts;
  std::vector<SplitPattern::Range> matches;
  for (std::string_view piece : pieces.list) {
    matches.clear();
    step.pattern->findAll(piece, matches);
    cut(piece, matches, step.behavior, step.invert, parts);
  }
  pieces.list = std::move(parts);
}

static void apply(const PrefixSpaceStep &, Pieces &pieces) {
  for (std::string_view &piece : pieces.list)
    if (!piece.starts_with(' '))
      piece = pieces.owned.emplace_back(" " + std::string(piece));
}

static void apply(const MetaspaceStep &step, bool atStart, Pieces &pieces) {
  std::vector<std::string_view> parts;
  std::vector<SplitPattern::Range> matches;
  for (size_t i = 0; i < pieces.list.size(); ++i) {
    std::string text = replaceAll(pieces.list[i], " ", step.replacement);
    bool first = atStart && i == 0;
    if ((step.prepend == MetaspaceStep::Prepend::Always ||
         (step.prepend == MetaspaceStep::Prepend::First && first)) &&
        !text.starts_with(step.replacement))
      text.insert(0, step.replacement);
    std::string_view piece = pieces.owned.emplace_back(std::move(text));
    matches.clear();
    for (size_t at = piece.find(step.replacement); step.split && at != std::string_view::npos;
         at = piece.find(step.replacement, at + step.replacement.size()))
      matches.emplace_back(at, at + step.replacement.size());
    cut(piece, matches, SplitBehavior::MergedWithNext, false, parts);
  }
  pieces.list = std::move(parts);
}

void preTokenize(const std::vector<PieceStep> &steps, std::string_view text, bool atStart,
                 Pieces &pieces) {
  pieces.list.clear();
  if (!text.empty())
    pieces.list.push_back(text);
  for (const PieceStep &step : steps) {
    if (auto *split = std::get_if<SplitStep>(&step))
      apply(*split, pieces);
    else if (std::holds_alternative<PrefixSpaceStep>(step))
      apply(PrefixSpaceStep(), pieces);
    else
      apply(std::get<MetaspaceStep>(step), atStart, pieces);
  }
}

} // namespace lmc
