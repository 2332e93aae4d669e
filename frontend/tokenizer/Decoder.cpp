#include "frontend/tokenizer/Decoder.h"

#include "frontend/tokenizer/ByteAlphabet.h"
#include "frontend/tokenizer/Normalizer.h"
#include "runtime/Error.h"

#include <array>
#include <cctype>
#include <charconv>

namespace lmc {

/// "<0x0A>" is the byte 10.
static std::optional<char> fallbackByte(std::string_view token) {
  uint8_t byte = 0;
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>')
    return std::nullopt;
  auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  return error == std::errc() && end == token.data() + 5 ? std::optional(char(byte)) : std::nullopt;
}

/// What BERT's decoder takes back of the spaces that it puts between words.
static std::string cleanUp(std::string text) {
  constexpr std::array<std::pair<const char *, const char *>, 11> rules{{{" .", "."},
                                                                         {" ?", "?"},
                                                                         {" !", "!"},
                                                                         {" ,", ","},
                                                                         {" ' ", "'"},
                                                                         {" n't", "n't"},
                                                                         {" 'm", "'m"},
                                                                         {" do not", " don't"},
                                                                         {" 's", "'s"},
                                                                         {" 've", "'ve"},
                                                                         {" 're", "'re"}}};
  for (auto [from, to] : rules)
    text = replaceAll(text, from, to);
  return text;
}

static size_t countAtStart(std::string_view text, std::string_view content, size_t most) {
  size_t count = 0;
  while (count < most && text.substr(count * content.size()).starts_with(content))
    ++count;
  return count;
}
static size_t countAtEnd(std::string_view text, std::string_view content, size_t most) {
  size_t count = 0;
  while (count < most && text.substr(0, text.size() - count * content.size()).ends_with(content))
    ++count;
  return count;
}

namespace {
struct DecodeToken {
  std::string token;
  bool first, asItIs;

  void operator()(const Decoder::ByteLevel &) {
    if (!asItIs)
      token = unspellBytes(token).value_or(token);
  }
  void operator()(const Decoder::ByteFallback &) {
    if (auto byte = fallbackByte(token))
      token = std::string(1, *byte);
  }
  void operator()(const Decoder::Replace &step) { token = replaceAll(token, step.from, step.to); }
  void operator()(const Decoder::ReplaceMatches &step) {
    token = replaceMatches(token, *step.pattern, step.to);
  }
  void operator()(const Decoder::Metaspace &step) {
    token = replaceAll(token, step.replacement, first && step.dropAtStart ? "" : " ");
  }
  void operator()(const Decoder::WordPiece &step) {
    if (!first)
      token = token.starts_with(step.prefix) ? token.substr(step.prefix.size()) : " " + token;
    if (step.cleanUp)
      token = cleanUp(std::move(token));
  }
  void operator()(const Decoder::Strip &step) {
    token.erase(0, countAtStart(token, step.content, step.start) * step.content.size());
    token.resize(token.size() - countAtEnd(token, step.content, step.stop) * step.content.size());
  }
};
} // namespace

Decoder::Decoder(Steps given, std::vector<std::string> list, std::vector<bool> kept)
    : steps(std::move(given)), tokens(std::move(list)), asTheyAre(std::move(kept)) {
  for (const TokenStep &step : steps.ofTokens)
    firstDiffers |=
        std::holds_alternative<Metaspace>(step) || std::holds_alternative<WordPiece>(step);
  for (size_t id = 0; id < tokens.size(); ++id)
    withinText.push_back(decodeToken(int32_t(id), false, false));
}

std::string Decoder::decodeToken(int32_t id, bool first, bool last) const {
  DecodeToken decode{tokens[id], first, asTheyAre[id]};
  if (!steps.wordSuffix.empty())
    decode.token = replaceAll(decode.token, steps.wordSuffix, last ? "" : " ");
  constexpr size_t mostBytes = 1 << 20;
  for (const TokenStep &step : steps.ofTokens) {
    std::visit(decode, step);
    if (decode.token.size() > mostBytes)
      fail("decoder: token {} decodes to more than {} bytes", id, mostBytes);
  }
  return std::move(decode.token);
}

/// Through the steps of whole texts: what a text begins with is dropped, what it may end with held.
void Decoder::append(std::string_view text, DecodeState &state, std::string &bytes) const {
  if (!steps.ofWholeText) {
    bytes += text;
    return;
  }
  const Strip &strip = *steps.ofWholeText;
  size_t left = strip.start - std::min(strip.start, state.stripped);
  size_t count = state.continuesText ? 0 : countAtStart(text, strip.content, left);
  state.stripped += count;
  text.remove_prefix(count * strip.content.size());
  if (!text.empty())
    state.stripped = strip.start;
  state.held += text;
  size_t kept = countAtEnd(state.held, strip.content, strip.stop) * strip.content.size();
  bytes.append(state.held, 0, state.held.size() - kept);
  state.held.erase(0, state.held.size() - kept);
}

void Decoder::next(int32_t id, DecodeState &state, std::string &bytes) const {
  bool first = !std::exchange(state.begun, true) && !state.continuesText;
  if (steps.wordSuffix.empty()) {
    if (first && firstDiffers)
      append(decodeToken(id, true, false), state, bytes);
    else
      append(withinText[id], state, bytes);
    return;
  }
  if (state.waiting)
    append(withinText[*state.waiting], state, bytes);
  state.waiting = id;
}

void Decoder::finish(DecodeState &state, std::string &bytes) const {
  if (state.waiting)
    append(decodeToken(*state.waiting, false, true), state, bytes);
  state.held.clear(); // what whole texts lose at their end
}

} // namespace lmc
