#include "tools/bench/TokenizerText.h"

#include "frontend/tokenizer/Utf8.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <random>
#include <tuple>
#include <unordered_map>

namespace lmc::bench {
namespace {

/// The standard fixes what the engine draws, unlike what its distributions make of it.
class Writer {
public:
  explicit Writer(unsigned seed) : engine(seed) {
    constexpr std::string_view begins[] = {"b", "d", "f", "gr", "h", "k",  "l", "m", "n",
                                           "p", "r", "s", "st", "t", "th", "v", "w", ""};
    constexpr std::string_view ends[] = {"a",  "e",  "i",  "o",  "u",  "an",
                                         "er", "in", "ou", "ea", "ing"};
    for (size_t rank = 0; rank < 20000; ++rank) {
      std::string word;
      for (size_t left = 1 + below(rank < 200 ? 2 : 4); left > 0; --left) {
        word += begins[below(std::size(begins))];
        word += ends[below(std::size(ends))];
      }
      words.push_back(std::move(word));
    }
    while (identifiers.size() < 4000)
      identifiers.push_back(chance(40)   ? capitalized() + capitalized()
                            : chance(50) ? word() + "_" + word()
                                         : word());
  }

  size_t below(size_t bound) { return engine() % bound; }
  bool chance(size_t percent) { return below(100) < percent; }

  /// The n-th of a list is drawn in proportion to 1 / n.
  const std::string &frequent(const std::vector<std::string> &list) {
    double uniform = double(engine()) / double(std::mt19937::max());
    return list[std::min(list.size() - 1, size_t(std::pow(double(list.size()), uniform)) - 1)];
  }
  const std::string &word() { return frequent(words); }
  std::string capitalized() {
    std::string result = word();
    result[0] = char(result[0] - 'a' + 'A');
    return result;
  }

  void sentence(std::string &text) {
    text += capitalized();
    for (size_t left = 4 + below(14); left > 0; --left) {
      text += chance(10) ? ", " : chance(2) ? "; " : " ";
      text += chance(5) ? capitalized() : chance(2) ? std::to_string(below(3000)) : word();
      if (chance(2))
        text += chance(50) ? "'s" : "'ll";
    }
    text += chance(20) ? "?\n" : chance(30) ? ".\n\n" : ". ";
  }

  void statement(std::string &text) {
    text.append(2 * below(6), ' ');
    constexpr std::string_view forms[] = {"if (", "for (auto &", "return ", "// ", "const ", ""};
    text += forms[below(std::size(forms))];
    for (size_t left = 2 + below(4); left > 0; --left) {
      text += frequent(identifiers);
      constexpr std::string_view operators[] = {" = ", "::",  "->",     ".",  ", ",
                                                "(",   " + ", "[i] * ", " < "};
      text += operators[below(std::size(operators))];
    }
    text += std::to_string(below(chance(50) ? 10 : 100000));
    text += chance(20) ? ") {\n" : ");\n";
    if (chance(5))
      text += "}\n\n";
  }

  /// Words of other scripts, frequent ones and one in ten that no one has seen, symbols and marks.
  void foreign(std::string &text) {
    if (foreignWords.empty())
      while (foreignWords.size() < 20000)
        foreignWords.push_back(foreignWord());
    for (size_t left = 20; left > 0; --left)
      text += (chance(10) ? foreignWord() : frequent(foreignWords)) + " ";
    if (chance(20))
      text += char(0x80 + below(0x80));
  }

private:
  /// Mostly of one block of characters.
  std::string foreignWord() {
    constexpr std::pair<char32_t, char32_t> blocks[] = {
        {0xC0, 0x24F},  {0x3B1, 0x3C9},   {0x400, 0x45F},     {0x5D0, 0x5EA},   {0x621, 0x64A},
        {0x905, 0x939}, {0xE01, 0xE2E},   {0xAC00, 0xAF00},   {0x3041, 0x3096}, {0x4E00, 0x5200},
        {0x300, 0x340}, {0x2190, 0x2300}, {0x1F300, 0x1F640}, {0xFF01, 0xFF5E}, {0x2150, 0x2188}};
    auto block = blocks[below(std::size(blocks))], other = blocks[below(std::size(blocks))];
    std::string word;
    for (size_t left = 1 + below(8); left > 0; --left) {
      auto [low, high] = chance(90) ? block : other;
      appendUtf8(word, low + char32_t(below(high - low + 1)));
    }
    return word;
  }

  std::mt19937 engine;
  std::vector<std::string> words, identifiers, foreignWords; // most frequent first
};

template <typename Write> std::string textOf(size_t numBytes, unsigned seed, Write write) {
  Writer writer(seed);
  std::string text;
  while (text.size() < numBytes)
    write(writer, text);
  return text;
}

} // namespace

std::string proseText(size_t numBytes) {
  return textOf(numBytes, 1, [](Writer &w, std::string &text) { w.sentence(text); });
}

std::string codeText(size_t numBytes) {
  return textOf(numBytes, 2, [](Writer &w, std::string &text) { w.statement(text); });
}

std::string mixedText(size_t numBytes) {
  return textOf(numBytes, 3, [](Writer &w, std::string &text) {
    size_t kind = w.below(4);
    kind == 0 ? w.sentence(text) : kind == 1 ? w.statement(text) : w.foreign(text);
  });
}

std::vector<std::pair<std::string, size_t>> frequentParts(std::string_view text, size_t numParts,
                                                          const PartSpelling &spelling) {
  constexpr size_t mostCharacters = 8;
  std::unordered_map<std::string, size_t> counts;
  std::vector<std::string> word; // its characters
  auto countWord = [&] {
    for (size_t begin = 0; begin < word.size(); ++begin) {
      std::string part = begin == 0 ? spelling.first : spelling.continuing;
      if (!part.empty())
        ++counts[part];
      for (size_t i = begin; i < std::min(word.size(), begin + mostCharacters); ++i)
        ++counts[part += word[i]];
    }
    word.clear();
  };
  for (size_t at = 0; at < text.size();) {
    size_t length = utf8Length(text.substr(at));
    char c = text[at];
    bool isSymbol = uint8_t(c) < 0x80 && !std::isalnum(uint8_t(c));
    if (length == 0 || c == ' ' || c == '\n' || (spelling.splitsSymbols && isSymbol))
      countWord();
    if (length > 0 && c != ' ' && c != '\n') {
      bool small = spelling.splitsSymbols && c >= 'A' && c <= 'Z';
      word.push_back(small ? std::string(1, char(c | 0x20)) : std::string(text.substr(at, length)));
    }
    if (spelling.splitsSymbols && isSymbol)
      countWord();
    at += std::max<size_t>(1, length);
  }
  countWord();

  std::vector<std::pair<std::string, size_t>> parts(counts.begin(), counts.end());
  auto order = [&](const std::pair<std::string, size_t> &part) {
    std::string_view bare = part.first;
    for (std::string_view mark :
         {std::string_view(spelling.first), std::string_view(spelling.continuing)})
      if (!mark.empty() && bare.size() > mark.size() && bare.starts_with(mark))
        bare.remove_prefix(mark.size());
    bool isCharacter = utf8Length(bare) == bare.size();
    return std::tuple(!isCharacter, -int64_t(part.second), part.first.size(),
                      std::string_view(part.first));
  };
  std::ranges::sort(parts, {}, order);
  parts.resize(std::min(parts.size(), numParts));
  return parts;
}

} // namespace lmc::bench
