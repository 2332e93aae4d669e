#include "frontend/tokenizer/Base64.h"
#include "frontend/tokenizer/StepsJson.h"

#include <cctype>

namespace lmc::tokenizer_json {

Pattern readPattern(const Field &node) {
  if (!node["Regex"].isNull())
    return {true, node["Regex"].nonEmptyText()};
  if (!node["String"].isNull())
    return {false, node["String"].nonEmptyText()};
  node.fail("must be {{\"String\": ...}} or {{\"Regex\": ...}}");
}

std::shared_ptr<const SplitPattern> Pattern::compile() const {
  if (isRegex)
    return std::make_shared<SplitPattern>(text);
  std::string regex;
  for (char c : text) {
    if (!std::isalnum(uint8_t(c)) && uint8_t(c) < 0x80)
      regex += '\\';
    regex += c;
  }
  return std::make_shared<SplitPattern>(regex);
}

static void readBert(const Field &node, std::vector<NormalizeStep> &steps) {
  bool lowercase = node["lowercase"].flag(true);
  steps.push_back(BertStep{node["clean_text"].flag(true), node["handle_chinese_chars"].flag(true)});
  bool stripAccents = node["strip_accents"].flag(lowercase);
  if (stripAccents)
    steps.push_back(FormStep{unicode::Form::NFD});
  steps.push_back(FoldStep{uint16_t(stripAccents ? unicode::Nonspacing : 0), lowercase});
}

static void readStep(const Field &node, std::vector<NormalizeStep> &steps) {
  std::string type = node["type"].text();
  if (type == "Sequence") {
    Field list = node["normalizers"];
    for (size_t i = 0; i < list.arraySize(); ++i)
      readStep(list[i], steps);
  } else if (type == "NFC") {
    steps.push_back(FormStep{unicode::Form::NFC});
  } else if (type == "NFD") {
    steps.push_back(FormStep{unicode::Form::NFD});
  } else if (type == "NFKC") {
    steps.push_back(FormStep{unicode::Form::NFKC});
  } else if (type == "NFKD") {
    steps.push_back(FormStep{unicode::Form::NFKD});
  } else if (type == "Lowercase") {
    steps.push_back(FoldStep{0, true});
  } else if (type == "Strip") {
    steps.push_back(StripStep{node["strip_left"].flag(true), node["strip_right"].flag(true)});
  } else if (type == "StripAccents") {
    steps.push_back(FoldStep{unicode::Mark, false});
  } else if (type == "Prepend") {
    steps.push_back(PrependStep{node["prepend"].text()});
  } else if (type == "Replace") {
    Pattern pattern = readPattern(node["pattern"]);
    std::string content = node["content"].text();
    if (pattern.isRegex)
      steps.push_back(ReplaceMatchesStep{pattern.compile(), content});
    else
      steps.push_back(ReplaceStep{pattern.text, content});
  } else if (type == "BertNormalizer") {
    readBert(node, steps);
  } else if (type == "Precompiled") {
    // longest_match is ours: tokenizers that were SentencePiece models normalise as that does.
    auto match =
        node["longest_match"].flag(false) ? Charsmap::Match::Longest : Charsmap::Match::Graphemes;
    Field map = node["precompiled_charsmap"];
    std::optional<std::string> blob = decodeBase64(map.text());
    if (!blob)
      map.fail("is not base64");
    if (!blob->empty())
      steps.push_back(CharsmapStep{std::make_shared<Charsmap>(*blob, match)});
  } else {
    node.fail("unknown normalizer '{}' (known: Sequence, NFC, NFD, NFKC, NFKD, Lowercase, Strip, "
              "StripAccents, Prepend, Replace, BertNormalizer, Precompiled)",
              type);
  }
}

std::vector<NormalizeStep> readNormalizer(const Field &node) {
  std::vector<NormalizeStep> steps;
  if (!node.isNull())
    readStep(node, steps);
  return steps;
}

} // namespace lmc::tokenizer_json
