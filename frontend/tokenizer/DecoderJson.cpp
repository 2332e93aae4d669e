#include "frontend/tokenizer/StepsJson.h"

namespace lmc::tokenizer_json {

namespace {
class DecoderReader {
public:
  void read(const Field &node);
  Decoder::Steps steps;

private:
  void readStrip(const Field &node);
  bool joined = false; // what follows sees the whole text
};
} // namespace

void DecoderReader::readStrip(const Field &node) {
  Decoder::Strip strip{node["content"].nonEmptyText(), node["start"].count(), node["stop"].count()};
  if (!joined)
    steps.ofTokens.push_back(std::move(strip));
  else if (!steps.ofWholeText)
    steps.ofWholeText = std::move(strip);
  else
    node.fail("a second 'Strip' of a whole text is not supported");
}

void DecoderReader::read(const Field &node) {
  std::string type = node["type"].text();
  if (type == "Sequence") {
    Field list = node["decoders"];
    for (size_t i = 0; i < list.arraySize(); ++i)
      read(list[i]);
    return;
  }
  if (type == "Fuse") {
    joined = true;
    return;
  }
  if (type == "Strip")
    return readStrip(node);
  if (joined)
    node.fail("decoder '{}' is not supported after 'Fuse' or 'ByteLevel' (known there: Strip)",
              type);
  if (type == "ByteLevel") {
    steps.ofTokens.push_back(Decoder::ByteLevel());
    joined = true;
  } else if (type == "ByteFallback") {
    steps.ofTokens.push_back(Decoder::ByteFallback());
  } else if (type == "Replace") {
    Pattern pattern = readPattern(node["pattern"]);
    std::string content = node["content"].text();
    if (pattern.isRegex)
      steps.ofTokens.push_back(Decoder::ReplaceMatches{pattern.compile(), content});
    else
      steps.ofTokens.push_back(Decoder::Replace{pattern.text, content});
  } else if (type == "Metaspace") {
    Field scheme = node["prepend_scheme"];
    bool drop = scheme.isNull() ? node["add_prefix_space"].flag(true) : scheme.text() != "never";
    steps.ofTokens.push_back(Decoder::Metaspace{node["replacement"].nonEmptyText(), drop});
  } else if (type == "WordPiece") {
    Field prefix = node["prefix"];
    steps.ofTokens.push_back(
        Decoder::WordPiece{prefix.isNull() ? "##" : prefix.text(), node["cleanup"].flag(true)});
  } else if (type == "BPEDecoder") {
    if (!steps.ofTokens.empty())
      node.fail("decoder 'BPEDecoder' is only supported as the first");
    Field suffix = node["suffix"];
    steps.wordSuffix = suffix.isNull() ? "</w>" : suffix.nonEmptyText();
  } else {
    node.fail("unknown decoder '{}' (known: Sequence, ByteLevel, ByteFallback, Replace, Metaspace, "
              "WordPiece, BPEDecoder, Fuse, Strip)",
              type);
  }
}

Decoder::Steps readDecoder(const Field &node, bool byteLevel) {
  DecoderReader reader;
  if (!node.isNull())
    reader.read(node);
  else if (byteLevel)
    reader.steps.ofTokens.push_back(Decoder::ByteLevel());
  else
    node.fail("is missing: how tokens are joined is unknown");
  return std::move(reader.steps);
}

} // namespace lmc::tokenizer_json
