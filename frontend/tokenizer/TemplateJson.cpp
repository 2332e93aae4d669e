#include "frontend/tokenizer/TemplateJson.h"

namespace lmc::tokenizer_json {

static void readTemplate(const Field &node, const Vocabulary &vocabulary, Template &result) {
  auto known = [&](const Field &field) {
    int32_t id = field.id();
    if (size_t(id) >= vocabulary.used.size() || !vocabulary.used[id])
      field.fail("adds id {}, which is not in the vocabulary", id);
    return id;
  };
  std::vector<int32_t> before, after;
  std::string type = node["type"].text();
  if (type == "ByteLevel") {
    // Only trims offsets.
  } else if (type == "Sequence") {
    Field list = node["processors"];
    for (size_t i = 0; i < list.arraySize(); ++i)
      readTemplate(list[i], vocabulary, result);
  } else if (type == "BertProcessing" || type == "RobertaProcessing") {
    for (const char *name : {"cls", "sep"})
      if (node[name].arraySize() != 2)
        node[name].fail("must be [token, id]");
    before = {known(node["cls"][1])};
    after = {known(node["sep"][1])};
  } else if (type == "TemplateProcessing") {
    bool seenText = false;
    Field list = node["single"];
    for (size_t i = 0; i < list.arraySize(); ++i) {
      if (!list[i]["Sequence"].isNull()) {
        if (seenText)
          list[i].fail("the text may come once");
        seenText = true;
        continue;
      }
      std::string token = list[i]["SpecialToken"]["id"].text();
      Field ids = node["special_tokens"][token.c_str()]["ids"];
      for (size_t j = 0; j < ids.arraySize(); ++j)
        (seenText ? after : before).push_back(known(ids[j]));
    }
    if (!seenText)
      list.fail("has no place for the text");
  } else {
    node.fail("unknown post_processor '{}' (known: Sequence, ByteLevel, TemplateProcessing, "
              "BertProcessing, RobertaProcessing)",
              type);
  }
  result.prefix.insert(result.prefix.begin(), before.begin(), before.end());
  result.suffix.insert(result.suffix.end(), after.begin(), after.end());
}

Template readPostProcessor(const Field &node, const Vocabulary &vocabulary) {
  Template result;
  if (!node.isNull())
    readTemplate(node, vocabulary, result);
  return result;
}

void guessBosAndEos(const StringMap<int32_t> &added, Template &result) {
  auto find = [&](std::initializer_list<const char *> names) -> std::optional<int32_t> {
    for (const char *name : names)
      if (auto found = added.find(name); found != added.end())
        return found->second;
    return std::nullopt;
  };
  result.bos = find({"<s>", "<|begin_of_text|>", "<bos>", "<|endoftext|>"});
  result.eos = find({"</s>", "<|end_of_text|>", "<eos>", "<|endoftext|>"});
}

void readConfig(const Field &config, const StringMap<int32_t> &ids, Template &result) {
  if (!config.isObject())
    config.fail("must be an object");
  auto read = [&](const char *name, std::optional<int32_t> &id) {
    Field value = config[name];
    if (value.isNull())
      return;
    std::string token = (value.isObject() ? value["content"] : value).text();
    auto found = ids.find(token);
    if (found == ids.end())
      value.fail("'{}' is not in the vocabulary", token);
    id = found->second;
  };
  read("bos_token", result.bos);
  read("eos_token", result.eos);

  if (Field add = config["add_bos_token"]; !add.isNull()) {
    if (add.flag() && !result.bos)
      add.fail("needs a bos_token");
    bool there = result.bos && !result.prefix.empty() && result.prefix.front() == *result.bos;
    if (add.flag() && !there)
      result.prefix.insert(result.prefix.begin(), *result.bos);
    else if (!add.flag() && there)
      result.prefix.erase(result.prefix.begin());
  }
  if (Field add = config["add_eos_token"]; !add.isNull()) {
    if (add.flag() && !result.eos)
      add.fail("needs an eos_token");
    bool there = result.eos && !result.suffix.empty() && result.suffix.back() == *result.eos;
    if (add.flag() && !there)
      result.suffix.push_back(*result.eos);
    else if (!add.flag() && there)
      result.suffix.pop_back();
  }
}

} // namespace lmc::tokenizer_json
