#include "frontend/tokenizer/PreTokenizerJson.h"

#include "runtime/Error.h"

#include <cctype>

namespace lmc::tokenizer_json {

static void readNormalizer(const Json &node, PieceSteps &steps) {
  if (node.is_null())
    return;
  std::string type = text(node, "type");
  if (type == "Sequence") {
    for (const Json &step : array(node, "normalizers"))
      readNormalizer(step, steps);
  } else if (type == "Prepend") {
    steps.normalizer.push_back(PrependStep{text(node, "prepend")});
  } else if (type == "Replace") {
    const Json &pattern = member(node, "pattern");
    if (!pattern.contains("String") || text(pattern, "String").empty())
      fail("normalizer 'Replace' needs a pattern that is a non-empty string, got {}",
           pattern.dump());
    steps.normalizer.push_back(ReplaceStep{text(pattern, "String"), text(node, "content")});
  } else {
    fail("unknown normalizer '{}' (known: Sequence, Prepend, Replace)", type);
  }
}

static void readSplit(const Json &node, PieceSteps &steps) {
  const Json &pattern = member(node, "pattern");
  std::string regex;
  if (pattern.contains("Regex")) {
    regex = text(pattern, "Regex");
  } else {
    for (char c : text(pattern, "String")) {
      if (!std::isalnum(uint8_t(c)) && uint8_t(c) < 0x80)
        regex += '\\';
      regex += c;
    }
  }
  SplitStep step;
  step.pattern = std::make_shared<SplitPattern>(regex);
  step.invert = flag(node, "invert", false);
  std::string behavior = text(node, "behavior");
  if (behavior == "Removed")
    step.behavior = SplitBehavior::Removed;
  else if (behavior == "Isolated")
    step.behavior = SplitBehavior::Isolated;
  else if (behavior == "MergedWithPrevious")
    step.behavior = SplitBehavior::MergedWithPrevious;
  else if (behavior == "MergedWithNext")
    step.behavior = SplitBehavior::MergedWithNext;
  else
    fail("unknown behavior '{}' of pre_tokenizer 'Split'", behavior);
  steps.preTokenizer.push_back(std::move(step));
  steps.patterns.push_back(regex);
}

static void readMetaspace(const Json &node, PieceSteps &steps) {
  MetaspaceStep step;
  step.replacement = text(node, "replacement");
  if (step.replacement.empty())
    fail("pre_tokenizer 'Metaspace' needs a replacement");
  std::string scheme = member(node, "prepend_scheme").is_null()
                           ? (flag(node, "add_prefix_space", true) ? "always" : "never")
                           : text(node, "prepend_scheme");
  if (scheme == "always")
    step.prepend = MetaspaceStep::Prepend::Always;
  else if (scheme == "first")
    step.prepend = MetaspaceStep::Prepend::First;
  else if (scheme == "never")
    step.prepend = MetaspaceStep::Prepend::Never;
  else
    fail("unknown prepend_scheme '{}' of pre_tokenizer 'Metaspace'", scheme);
  step.split = flag(node, "split", true);
  steps.preTokenizer.push_back(std::move(step));
}

static void readPreTokenizer(const Json &node, PieceSteps &steps) {
  if (node.is_null())
    return;
  if (steps.byteLevel)
    fail("a pre_tokenizer after 'ByteLevel' is not supported");
  std::string type = text(node, "type");
  if (type == "Sequence") {
    for (const Json &step : array(node, "pretokenizers"))
      readPreTokenizer(step, steps);
  } else if (type == "ByteLevel") {
    steps.byteLevel = true;
    if (flag(node, "add_prefix_space", true))
      steps.preTokenizer.push_back(PrefixSpaceStep());
    if (flag(node, "use_regex", true)) {
      steps.preTokenizer.push_back(SplitStep{std::make_shared<SplitPattern>(gpt2Pattern)});
      steps.patterns.emplace_back(gpt2Pattern);
    }
  } else if (type == "Split") {
    readSplit(node, steps);
  } else if (type == "Metaspace") {
    readMetaspace(node, steps);
  } else if (type == "Digits") {
    const char *pattern = flag(node, "individual_digits", false) ? R"(\p{N})" : R"(\p{N}+)";
    steps.preTokenizer.push_back(SplitStep{std::make_shared<SplitPattern>(pattern)});
    steps.patterns.emplace_back(pattern);
  } else {
    fail("unknown pre_tokenizer '{}' (known: Sequence, ByteLevel, Split, Metaspace, Digits)", type);
  }
}

PieceSteps readPieceSteps(const Json &normalizer, const Json &preTokenizer) {
  PieceSteps steps;
  readNormalizer(normalizer, steps);
  readPreTokenizer(preTokenizer, steps);
  return steps;
}

} // namespace lmc::tokenizer_json
