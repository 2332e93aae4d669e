// Training of byte-level BPE. The words of the text are counted once; each merge then touches only
// the words that hold its pair, and a heap gives the next pair.
//   Source: Sennrich et al. 2016, arXiv:1508.07909; order of merges as in Hugging Face's
//   BpeTrainer.
#include "frontend/tokenizer/BpeModel.h"
#include "frontend/tokenizer/ByteAlphabet.h"
#include "frontend/tokenizer/SplitPattern.h"
#include "frontend/tokenizer/Tokenizer.h"
#include "runtime/Error.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <queue>

namespace lmc {

namespace {

class WordCounter {
public:
  void add(const TextPiece &piece);
  void finishDocument();
  StringMap<int64_t> counts;

private:
  void count(std::string_view text);

  SplitPattern pattern{gpt2Pattern};
  std::vector<SplitPattern::Range> matches;
  std::string pending; // the end of the document so far, not yet split
};

class BpeTrainer {
public:
  BpeTrainer(const StringMap<int64_t> &words, const std::vector<std::string> &specialTokens);
  void train(size_t vocabSize);

  std::vector<std::string> tokens; // by id, in GPT-2's spelling
  std::vector<std::pair<int32_t, int32_t>> merges;

private:
  using Pair = std::pair<int32_t, int32_t>;
  struct PairState {
    int64_t count = 0;
    std::vector<uint32_t> newWords; // that gained the pair since it was last offered
  };
  struct Candidate {
    int64_t count;
    Pair pair;
    std::vector<uint32_t> words;
    bool operator<(const Candidate &other) const { // a max-heap: the best is the largest
      return count != other.count ? count < other.count : pair > other.pair;
    }
  };
  struct Word {
    size_t begin;
    uint32_t length;
    int64_t count;
  };

  int32_t addToken(std::string token);
  void change(Pair pair, int64_t count, uint32_t word);
  void offerChanged();
  void mergeIn(uint32_t word, Pair pair, int32_t merged);
  static uint64_t key(Pair pair) {
    return uint64_t(uint32_t(pair.first)) << 32 | uint32_t(pair.second);
  }

  StringMap<int32_t> ids;
  std::vector<int32_t> symbols; // of all words, one after the other
  std::vector<Word> words;
  std::unordered_map<uint64_t, PairState> pairs;
  std::vector<Pair> gained; // pairs with newWords
  std::vector<Candidate> heap;
};

} // namespace

void WordCounter::count(std::string_view text) {
  matches.clear();
  pattern.findAll(text, matches);
  auto add = [&](size_t begin, size_t end) {
    if (begin == end)
      return;
    std::string_view word = text.substr(begin, end - begin);
    auto found = counts.find(word);
    if (found == counts.end())
      found = counts.emplace(std::string(word), 0).first;
    ++found->second;
  };
  size_t previousEnd = 0;
  for (auto [begin, end] : matches) {
    add(previousEnd, begin); // ill-formed bytes, which the pattern never matches
    add(begin, end);
    previousEnd = end;
  }
  add(previousEnd, text.size());
}

void WordCounter::add(const TextPiece &piece) {
  size_t known = pending.empty() ? 0 : pending.size() - 1; // no cut before here
  pending += piece.text;
  if (size_t cut = lastCutBeforeSpace(std::string_view(pending).substr(known))) {
    count(std::string_view(pending).substr(0, known + cut));
    pending.erase(0, known + cut);
  }
  if (piece.endsDocument)
    finishDocument();
}

void WordCounter::finishDocument() {
  count(pending);
  pending.clear();
}

int32_t BpeTrainer::addToken(std::string token) {
  auto [entry, isNew] = ids.emplace(token, int32_t(tokens.size()));
  if (isNew)
    tokens.push_back(std::move(token));
  return entry->second;
}

BpeTrainer::BpeTrainer(const StringMap<int64_t> &wordCounts,
                       const std::vector<std::string> &specialTokens) {
  for (const std::string &token : specialTokens)
    addToken(token);
  std::vector<int32_t> byteIds(256);
  for (uint8_t byte : bytesInCharacterOrder())
    byteIds[byte] = addToken(spellBytes(std::string(1, char(byte))));

  for (const auto &[text, count] : wordCounts) {
    uint32_t index = uint32_t(words.size());
    words.push_back({symbols.size(), uint32_t(text.size()), count});
    for (size_t i = 0; i < text.size(); ++i) {
      symbols.push_back(byteIds[uint8_t(text[i])]);
      if (i > 0)
        change({symbols[symbols.size() - 2], symbols.back()}, count, index);
    }
  }
  offerChanged();
}

/// count of either sign; the word is noted where the pair appears.
void BpeTrainer::change(Pair pair, int64_t count, uint32_t word) {
  PairState &state = pairs[key(pair)];
  state.count += count;
  if (count <= 0 || (!state.newWords.empty() && state.newWords.back() == word))
    return;
  if (state.newWords.empty())
    gained.push_back(pair);
  state.newWords.push_back(word);
}

void BpeTrainer::offerChanged() {
  for (Pair pair : gained) {
    PairState &state = pairs[key(pair)];
    if (state.count > 0) {
      heap.push_back({state.count, pair, std::move(state.newWords)});
      std::push_heap(heap.begin(), heap.end());
    }
    state.newWords.clear();
  }
  gained.clear();
}

void BpeTrainer::mergeIn(uint32_t index, Pair pair, int32_t merged) {
  Word &word = words[index];
  int32_t *list = symbols.data() + word.begin;
  uint32_t out = 0;
  for (uint32_t in = 0; in < word.length; ++in, ++out) {
    if (list[in] != pair.first || in + 1 >= word.length || list[in + 1] != pair.second) {
      list[out] = list[in];
      continue;
    }
    if (out > 0) {
      change({list[out - 1], pair.first}, -word.count, index);
      change({list[out - 1], merged}, word.count, index);
    }
    ++in;
    if (in + 1 < word.length) {
      change({pair.second, list[in + 1]}, -word.count, index);
      change({merged, list[in + 1]}, word.count, index);
    }
    list[out] = merged;
  }
  word.length = out;
}

void BpeTrainer::train(size_t vocabSize) {
  std::unordered_map<uint64_t, size_t> lastRank;
  std::vector<Pair> order;
  while (tokens.size() < vocabSize && !heap.empty()) {
    std::pop_heap(heap.begin(), heap.end());
    Candidate top = std::move(heap.back());
    heap.pop_back();
    // Counts in the heap grow stale downwards; an entry is put back with its present count.
    if (int64_t now = pairs[key(top.pair)].count; now != top.count) {
      if (now > 0) {
        top.count = now;
        heap.push_back(std::move(top));
        std::push_heap(heap.begin(), heap.end());
      }
      continue;
    }
    int32_t merged = addToken(tokens[top.pair.first] + tokens[top.pair.second]);
    lastRank[key(top.pair)] = order.size();
    order.push_back(top.pair);
    for (uint32_t word : top.words)
      mergeIn(word, top.pair, merged);
    offerChanged();
  }
  // Two pairs can give the same token, after which a pair can come up again: its last rank counts.
  for (size_t rank = 0; rank < order.size(); ++rank)
    if (lastRank[key(order[rank])] == rank)
      merges.push_back(order[rank]);
}

static std::string toJson(const BpeTrainer &trained, size_t numSpecial) {
  using Json = nlohmann::ordered_json;
  Json added = Json::array(), merges = Json::array();
  for (size_t id = 0; id < numSpecial; ++id)
    added.push_back(Json{{"id", id},
                         {"content", trained.tokens[id]},
                         {"single_word", false},
                         {"lstrip", false},
                         {"rstrip", false},
                         {"normalized", false},
                         {"special", true}});
  // Keys are unique: appending instead of looking each up keeps this linear.
  Json::object_t vocab;
  for (size_t id = 0; id < trained.tokens.size(); ++id)
    vocab.Container::emplace_back(trained.tokens[id], id);
  for (auto [left, right] : trained.merges)
    merges.push_back(Json::array({trained.tokens[left], trained.tokens[right]}));
  Json byteLevel{{"type", "ByteLevel"},
                 {"add_prefix_space", false},
                 {"trim_offsets", true},
                 {"use_regex", true}};
  Json model{{"type", "BPE"},
             {"dropout", nullptr},
             {"unk_token", nullptr},
             {"continuing_subword_prefix", nullptr},
             {"end_of_word_suffix", nullptr},
             {"fuse_unk", false},
             {"byte_fallback", false},
             {"ignore_merges", false},
             {"vocab", std::move(vocab)},
             {"merges", std::move(merges)}};
  Json file{{"version", "1.0"},          {"truncation", nullptr},
            {"padding", nullptr},        {"added_tokens", std::move(added)},
            {"normalizer", nullptr},     {"pre_tokenizer", byteLevel},
            {"post_processor", nullptr}, {"decoder", byteLevel},
            {"model", std::move(model)}};
  return file.dump(1);
}

std::unique_ptr<Tokenizer> trainBpe(const TextSource &source, int32_t vocabSize,
                                    const std::vector<std::string> &specialTokens) {
  std::vector<std::string> sorted = specialTokens;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end() ||
      std::find(sorted.begin(), sorted.end(), "") != sorted.end())
    fail("special tokens must be different and not empty");
  if (vocabSize < 256 + int64_t(specialTokens.size()) || vocabSize > 1 << 22)
    fail(
        "a byte-level BPE vocabulary must have between {} (256 bytes and {} special tokens) and {} "
        "tokens, got {}",
        256 + specialTokens.size(), specialTokens.size(), 1 << 22, vocabSize);
  WordCounter counter;
  TextPiece piece;
  while (source(piece))
    counter.add(piece);
  counter.finishDocument();
  BpeTrainer trainer(counter.counts, specialTokens);
  trainer.train(size_t(vocabSize));
  return parseTokenizer(toJson(trainer, specialTokens.size()));
}

} // namespace lmc
