#include "frontend/tokenizer/BytePreTokenizers.h"

#include "frontend/tokenizer/PublishedPatterns.h"
#include "runtime/Error.h"

#include <algorithm>

namespace lmc {

const std::string_view singleDigitPattern = R"(\p{N})";
const std::string_view digitsPattern = R"(\p{N}+)";
const std::string_view punctuationPattern = R"([\p{P}\$\+<=>\^~\|`]+)";

static constexpr std::string_view tekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
/// Qwen 3.5's: marks belong to the letters before them, with which they are not composed.
static constexpr std::string_view qwen35Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
static constexpr std::string_view threeDigitsPattern = "[0-9][0-9][0-9]", newlinePattern = "[\r\n]",
                                  hanPattern = "[一-龥ࠀ-一가-퟿]+";
/// DeepSeek's list of letters that have a case.
static constexpr std::string_view casedPattern =
    R"(\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+)";
static constexpr std::string_view asciiAndWidePunctuation = R"(\s?[!-/:-~！-／：-～‘-‟　-。]+)";
static constexpr std::string_view deepseek3Pattern =
    "[!\"#$%&'()*+,\\-./"
    ":;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+";

static const std::vector<BytePreTokenizer> &table() {
  static const std::vector<BytePreTokenizer> rows = {
      {.names = {"gpt-2", "phi-2", "jais", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de",
                 "gigachat", "a.x-4.0", "mellum", "trillion", "granite-docling"},
       .patterns = {gpt2Pattern}},
      {.names = {"olmo", "mpt", "modern-bert"}, .patterns = {gpt2Pattern}, .composes = true},
      {.names = {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0",
                 "lfm2"},
       .patterns = {llama3Pattern},
       .ignoreMerges = true,
       .addsBos = true},
      {.names = {"glm4", "glm5"}, .patterns = {llama3Pattern}, .ignoreMerges = true},
      {.names = {"smaug-bpe", "dbrx", "chatglm-bpe"}, .patterns = {llama3Pattern}},
      {.names = {"qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2"},
       .patterns = {qwen2Pattern},
       .composes = true},
      {.names = {"stablelm2", "hunyuan", "megrez", "grok-2", "solar-open"},
       .patterns = {qwen2Pattern}},
      {.names = {"qwen35"}, .patterns = {qwen35Pattern}},
      {.names = {"gpt-4o", "llama4", "kanana2", "minimax-m2"}, .patterns = {gpt4oPattern}},
      {.names = {"tekken"}, .patterns = {tekkenPattern}, .ignoreMerges = true, .addsBos = true},
      {.names = {"smollm", "starcoder", "refact", "codeshell", "exaone", "minerva-7b", "mellum2"},
       .patterns = {singleDigitPattern, gpt2Pattern}},
      {.names = {"command-r"}, .patterns = {singleDigitPattern, gpt2Pattern}, .composes = true},
      {.names = {"deepseek-llm"},
       .patterns = {newlinePattern, casedPattern, asciiAndWidePunctuation, R"(\s+$)", hanPattern,
                    digitsPattern}},
      {.names = {"deepseek-coder"},
       .patterns = {newlinePattern, R"(\s?\p{L}+)", R"(\s?\p{P}+)", hanPattern,
                    singleDigitPattern}},
      {.names = {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
       .patterns = {R"(\p{N}{1,3})", R"([一-龥぀-ゟ゠-ヿ]+)", deepseek3Pattern}},
      {.names = {"falcon"}, .patterns = {punctuationPattern, gpt2Pattern, threeDigitsPattern}},
      {.names = {"default"},
       .patterns = {R"([\p{P}\$\+<=>\^~\|]+)", gpt2Pattern, digitsPattern, threeDigitsPattern}},
  };
  return rows;
}

const BytePreTokenizer &bytePreTokenizer(std::string_view name) {
  std::string known;
  for (const BytePreTokenizer &row : table())
    for (std::string_view own : row.names) {
      if (own == name)
        return row;
      known += fmt::format("{}{}", known.empty() ? "" : ", ", own);
    }
  fail("the way '{}' to cut a text is unknown (known: {})", name, known);
}

const BytePreTokenizer *findBytePreTokenizer(std::span<const std::string> patterns,
                                             bool ignoreMerges, bool composes) {
  for (const BytePreTokenizer &row : table())
    if (std::ranges::equal(row.patterns, patterns) && row.ignoreMerges == ignoreMerges &&
        row.composes == composes)
      return &row;
  return nullptr;
}

} // namespace lmc
