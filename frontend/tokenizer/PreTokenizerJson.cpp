#include "frontend/tokenizer/StepsJson.h"
#include "frontend/tokenizer/Unicode.h"

#include <algorithm>

namespace lmc::tokenizer_json {

static SplitBehavior readBehavior(const Field &node) {
  std::string name = node.text();
  if (name == "Removed")
    return SplitBehavior::Removed;
  if (name == "Isolated")
    return SplitBehavior::Isolated;
  if (name == "MergedWithPrevious")
    return SplitBehavior::MergedWithPrevious;
  if (name == "MergedWithNext")
    return SplitBehavior::MergedWithNext;
  if (name == "Contiguous")
    return SplitBehavior::Contiguous;
  node.fail("unknown behavior '{}' (known: Removed, Isolated, MergedWithPrevious, MergedWithNext, "
            "Contiguous)",
            name);
}

static MetaspaceStep readMetaspace(const Field &node) {
  MetaspaceStep step;
  step.replacement = node["replacement"].nonEmptyText();
  Field field = node["prepend_scheme"];
  std::string scheme = !field.isNull()                       ? field.text()
                       : node["add_prefix_space"].flag(true) ? "always"
                                                             : "never";
  if (scheme == "always")
    step.prepend = MetaspaceStep::Prepend::Always;
  else if (scheme == "first")
    step.prepend = MetaspaceStep::Prepend::First;
  else if (scheme == "never")
    step.prepend = MetaspaceStep::Prepend::Never;
  else
    field.fail("unknown prepend_scheme '{}' (known: always, first, never)", scheme);
  step.split = node["split"].flag(true);
  return step;
}

static void readStep(const Field &node, PieceSteps &steps) {
  if (steps.byteLevel)
    node.fail("a pre_tokenizer after 'ByteLevel' is not supported");
  // Spaces that became something else are no border for what comes after.
  bool spacesAreGone = std::ranges::any_of(steps.list, [](const PieceStep &step) {
    return std::holds_alternative<MetaspaceStep>(step);
  });
  auto add = [&](PieceStep step, bool separatesWords) {
    steps.list.push_back(std::move(step));
    steps.cutsBeforeSpaces |= separatesWords && !spacesAreGone;
  };
  std::string type = node["type"].text();
  if (type == "Sequence") {
    Field list = node["pretokenizers"];
    for (size_t i = 0; i < list.arraySize(); ++i)
      readStep(list[i], steps);
  } else if (type == "ByteLevel") {
    steps.byteLevel = true;
    if (node["add_prefix_space"].flag(true))
      add(PrefixSpaceStep(), false);
    if (node["use_regex"].flag(true))
      add(SplitStep{std::make_shared<SplitPattern>(gpt2Pattern)}, true);
  } else if (type == "Split") {
    Pattern pattern = readPattern(node["pattern"]);
    SplitStep step{pattern.compile(), readBehavior(node["behavior"]), node["invert"].flag(false)};
    bool separates = pattern.isRegex && patternBreaksBeforeSpaces(pattern.text) &&
                     step.behavior == SplitBehavior::Isolated && !step.invert;
    add(std::move(step), separates);
  } else if (type == "Whitespace") {
    add(WordsStep(), true);
  } else if (type == "WhitespaceSplit") {
    add(SeparateStep{unicode::Space, 0}, true);
  } else if (type == "BertPreTokenizer") {
    add(SeparateStep{unicode::Space, unicode::Punctuation}, true);
  } else if (type == "Punctuation") {
    Field behavior = node["behavior"];
    add(SplitClassStep{unicode::Punctuation,
                       behavior.isNull() ? SplitBehavior::Isolated : readBehavior(behavior)},
        false);
  } else if (type == "Digits") {
    bool each = node["individual_digits"].flag(false);
    add(SplitClassStep{unicode::Number, each ? SplitBehavior::Isolated : SplitBehavior::Contiguous},
        false);
  } else if (type == "Metaspace") {
    MetaspaceStep step = readMetaspace(node);
    add(step, step.split && steps.list.empty());
  } else {
    node.fail("unknown pre_tokenizer '{}' (known: Sequence, ByteLevel, Split, Whitespace, "
              "WhitespaceSplit, BertPreTokenizer, Punctuation, Digits, Metaspace)",
              type);
  }
}

PieceSteps readPreTokenizer(const Field &node) {
  PieceSteps steps;
  if (!node.isNull())
    readStep(node, steps);
  return steps;
}

} // namespace lmc::tokenizer_json
