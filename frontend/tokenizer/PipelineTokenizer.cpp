#include "frontend/tokenizer/PipelineTokenizer.h"

#include "runtime/Error.h"

namespace lmc {

std::vector<int32_t> PipelineTokenizer::encode(std::string_view text, bool addSpecial) const {
  std::vector<int32_t> ids;
  ids.reserve(text.size() / 4 + plan.prefix.size() + plan.suffix.size());
  if (addSpecial)
    ids.insert(ids.end(), plan.prefix.begin(), plan.prefix.end());
  encodePart(text, true, ids);
  if (addSpecial)
    ids.insert(ids.end(), plan.suffix.begin(), plan.suffix.end());
  return ids;
}

void PipelineTokenizer::encodePart(std::string_view text, bool atStart,
                                   std::vector<int32_t> &ids) const {
  constexpr size_t window = 1 << 14; // what is between text and ids stays in the nearest caches
  PieceCache::Use pieceIds(cache);
  while (text.size() > window) {
    size_t cut = safeCut(text.substr(0, window));
    if (cut == 0)
      break;
    encodeWindow(text.substr(0, cut), atStart, pieceIds, ids);
    text.remove_prefix(cut);
    atStart = false;
  }
  encodeWindow(text, atStart, pieceIds, ids);
}

void PipelineTokenizer::encodeWindow(std::string_view text, bool atStart, PieceCache::Use &pieceIds,
                                     std::vector<int32_t> &ids) const {
  Pieces pieces;
  for (const SpecialTokens::Segment &raw : plan.rawTokens.split(text)) {
    if (raw.id >= 0) {
      ids.push_back(raw.id);
      continue;
    }
    bool first = raw.text.data() == text.data();
    std::string normalized;
    std::string_view segment = raw.text;
    if (!plan.normalizer.empty())
      segment = normalized = normalize(plan.normalizer, raw.text, atStart || !first);
    for (const SpecialTokens::Segment &part : plan.normalizedTokens.split(segment)) {
      if (part.id >= 0) {
        ids.push_back(part.id);
        continue;
      }
      bool begins = atStart && first && part.text.data() == segment.data();
      preTokenize(plan.preTokenizer, part.text, begins, pieces);
      pieceIds.encode(*plan.model, pieces.list, ids);
      pieces.owned.clear();
    }
  }
}

void PipelineTokenizer::checkId(int32_t id) const {
  if (id < 0 || id >= vocabSize())
    fail("token id {} is not in the vocabulary of {} tokens", id, vocabSize());
}

std::string PipelineTokenizer::tokenBytes(int32_t id) const {
  checkId(id);
  return plan.decoder.bytesOf(id);
}

void PipelineTokenizer::decodeNext(int32_t id, DecodeState &state, std::string &bytes) const {
  checkId(id);
  plan.decoder.next(id, state, bytes);
}

void PipelineTokenizer::decodeEnd(DecodeState &state, std::string &bytes) const {
  plan.decoder.finish(state, bytes);
}

bool PipelineTokenizer::isSpecial(int32_t id) const {
  return id >= 0 && id < vocabSize() && plan.special[id];
}

size_t PipelineTokenizer::safeCut(std::string_view text) const {
  if (!plan.cutsBeforeSpaces)
    return 0;
  // Text after an added token is normalised afresh, which a part that begins there would not be.
  size_t at = lastCutBeforeSpace(text);
  while (at > 0 && plan.rawTokens.mayEndWith(text[at - 1]))
    at = lastCutBeforeSpace(text.substr(0, at));
  return at;
}

} // namespace lmc
