// The `byte` kind: an id is a byte. Written as a tokenizer.json that others load with the same
// result.
#include "frontend/tokenizer/ByteAlphabet.h"
#include "frontend/tokenizer/Tokenizer.h"
#include "runtime/Error.h"

#include <nlohmann/json.hpp>

namespace lmc {

namespace {
class ByteTokenizer : public Tokenizer {
public:
  std::vector<int32_t> encode(std::string_view text, bool) const override {
    std::vector<int32_t> ids;
    encodePart(text, true, ids);
    return ids;
  }
  void encodePart(std::string_view text, bool, std::vector<int32_t> &ids) const override {
    ids.reserve(ids.size() + text.size());
    for (char byte : text)
      ids.push_back(uint8_t(byte));
  }
  size_t safeCut(std::string_view text) const override { return text.size(); }
  std::string tokenBytes(int32_t id) const override {
    if (id < 0 || id > 255)
      fail("token id {} is not a byte", id);
    return std::string(1, char(id));
  }
  int32_t vocabSize() const override { return 256; }

  std::string serialize() const override {
    nlohmann::ordered_json vocab = nlohmann::ordered_json::object();
    for (int byte = 0; byte < 256; ++byte)
      vocab[spellBytes(std::string(1, char(byte)))] = byte;
    nlohmann::ordered_json byteLevel{{"type", "ByteLevel"},
                                     {"add_prefix_space", false},
                                     {"trim_offsets", true},
                                     {"use_regex", false}};
    nlohmann::ordered_json model{{"type", "BPE"},
                                 {"dropout", nullptr},
                                 {"unk_token", nullptr},
                                 {"continuing_subword_prefix", nullptr},
                                 {"end_of_word_suffix", nullptr},
                                 {"fuse_unk", false},
                                 {"byte_fallback", false},
                                 {"ignore_merges", false},
                                 {"vocab", vocab},
                                 {"merges", nlohmann::ordered_json::array()}};
    nlohmann::ordered_json file{{"version", "1.0"},
                                {"truncation", nullptr},
                                {"padding", nullptr},
                                {"added_tokens", nlohmann::ordered_json::array()},
                                {"normalizer", nullptr},
                                {"pre_tokenizer", byteLevel},
                                {"post_processor", nullptr},
                                {"decoder", byteLevel},
                                {"model", model}};
    return file.dump(1);
  }
};
} // namespace

std::unique_ptr<Tokenizer> makeByteTokenizer() { return std::make_unique<ByteTokenizer>(); }

} // namespace lmc
