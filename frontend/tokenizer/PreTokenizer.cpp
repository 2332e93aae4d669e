#include "frontend/tokenizer/PreTokenizer.h"

#include "frontend/tokenizer/Normalizer.h"
#include "frontend/tokenizer/Unicode.h"

namespace lmc {

/// Appends the parts of piece, cut at matches, which lie in order and do not overlap.
static void cut(std::string_view piece, const std::vector<SplitPattern::Range> &matches,
                SplitBehavior behavior, bool invert, std::vector<std::string_view> &parts) {
  size_t pending = 0; // start of what has not been given out
  auto give = [&](size_t begin, size_t end) {
    if (end > begin)
      parts.push_back(piece.substr(begin, end - begin));
  };
  size_t previousEnd = 0;
  if (behavior == SplitBehavior::Isolated) { // the most frequent one
    for (auto [begin, end] : matches) {
      give(previousEnd, begin);
      give(begin, end);
      previousEnd = end;
    }
    return give(previousEnd, piece.size());
  }
  bool previousIsCut = false;
  auto visit = [&](size_t begin, size_t end, bool isCut) {
    if (begin == end)
      return;
    switch (behavior) {
    case SplitBehavior::Removed:
      if (!isCut)
        give(begin, end);
      break;
    case SplitBehavior::Isolated:
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
    case SplitBehavior::Contiguous:
      if (isCut != previousIsCut) {
        give(pending, begin);
        pending = begin;
      }
      previousIsCut = isCut;
      break;
    }
  };
  for (auto [begin, end] : matches) {
    visit(previousEnd, begin, invert);
    visit(begin, end, !invert);
    previousEnd = end;
  }
  visit(previousEnd, piece.size(), invert);
  if (behavior != SplitBehavior::Removed)
    give(pending, piece.size());
}

namespace {
struct Apply {
  Pieces &pieces;
  bool atStart;

  /// Cuts every piece at the matches that `find` appends.
  template <typename Find> void cutAt(SplitBehavior behavior, bool invert, Find find) const {
    std::vector<std::string_view> parts;
    std::vector<SplitPattern::Range> matches;
    for (std::string_view piece : pieces.list) {
      matches.clear();
      find(piece, matches);
      cut(piece, matches, behavior, invert, parts);
    }
    pieces.list = std::move(parts);
  }

  void operator()(const SeparateStep &step) const {
    std::vector<std::string_view> parts;
    parts.reserve(pieces.list.size());
    for (std::string_view piece : pieces.list) {
      size_t begin = 0;
      auto give = [&](size_t end) {
        if (end > begin)
          parts.push_back(piece.substr(begin, end - begin));
        begin = end;
      };
      for (size_t at = 0; at < piece.size();) {
        unicode::Character c = unicode::characterAt(piece.substr(at));
        size_t end = at + c.length;
        if (c.classes & (step.dropped | step.isolated)) {
          give(at);
          if (c.classes & step.dropped)
            begin = end;
          else
            give(end);
        }
        at = end;
      }
      give(piece.size());
    }
    pieces.list = std::move(parts);
  }
  void operator()(const SplitStep &step) const {
    cutAt(step.behavior, step.invert,
          [&](std::string_view piece, auto &matches) { step.pattern->findAll(piece, matches); });
  }
  void operator()(const SplitClassStep &step) const {
    cutAt(step.behavior, false, [&](std::string_view piece, auto &matches) {
      size_t at = 0;
      unicode::forEach(piece, [&](unicode::Character c, std::string_view) {
        if (c.classes & step.classes)
          matches.emplace_back(at, at + c.length);
        at += c.length;
      });
    });
  }
  void operator()(const WordsStep &) const {
    cutAt(SplitBehavior::Removed, true, [&](std::string_view piece, auto &matches) {
      size_t at = 0;
      int previous = 0; // 0: white space, 1: word, 2: symbols
      unicode::forEach(piece, [&](unicode::Character c, std::string_view) {
        int kind = c.classes & unicode::Word ? 1 : c.classes & unicode::Space ? 0 : 2;
        if (kind != 0 && kind == previous)
          matches.back().second = at + c.length;
        else if (kind != 0)
          matches.emplace_back(at, at + c.length);
        previous = kind;
        at += c.length;
      });
    });
  }
  void operator()(const PrefixSpaceStep &) const {
    for (std::string_view &piece : pieces.list)
      if (!piece.starts_with(' '))
        piece = pieces.owned.emplace_back(" " + std::string(piece));
  }
  void operator()(const MetaspaceStep &step) const;
};
} // namespace

void Apply::operator()(const MetaspaceStep &step) const {
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
  for (const PieceStep &step : steps)
    std::visit(Apply{pieces, atStart}, step);
}

} // namespace lmc
