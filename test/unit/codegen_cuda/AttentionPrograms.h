// Functions around attention: the list that the emulation runs, and single ones by their sizes.
#pragma once

#include "Program.h"

namespace lmc::test {

struct AttentionSizes {
  std::string element = "bf16"; ///< f32 or bf16
  int64_t B = 2, T = 37, H = 2, G = 2, D = 64;
  bool causal = true;
  bool fused = false;    ///< q, k and v are slices of one [B, T, H + 2 G, D]
  bool symbolic = false; ///< B and T are symbols
  double scale = 0;      ///< 0: 1 / sqrt(D)
  int64_t window = 0;    ///< 0: none
  double softCap = 0;    ///< 0: none
  int64_t longest = 512; ///< T's largest extent, if it is a symbol

  AttentionSizes modified(int64_t window, double softCap = 0) const {
    AttentionSizes sizes = *this;
    sizes.window = window;
    sizes.softCap = softCap;
    return sizes;
  }
};

struct AttentionProgram {
  Source source;
  std::vector<std::vector<double>> inputs; ///< exact in bf16, within -1 .. 1
};

/// out and lse of q, k and v.
AttentionProgram attentionForward(const std::string &name, const AttentionSizes &sizes);
/// T queries behind `past` keys of a cache of S.
AttentionProgram attentionOverCache(const std::string &name, const AttentionSizes &sizes, int64_t S,
                                    int64_t past);
/// A cache in pages of `tokens`, out of order; a sequence has `pages` of them, and past[b] tokens.
struct Paging {
  int64_t tokens, pages;
  std::vector<int64_t> past;
};
/// T queries of each sequence. `gathered`: the same tokens as a cache [B, S, G, D].
AttentionProgram attentionOverPages(const std::string &name, const AttentionSizes &sizes,
                                    const Paging &paging, bool gathered = false);
/// T tokens of each sequence are appended to its pages; the last sequence has none.
AttentionProgram appendToPages(const std::string &name, const AttentionSizes &sizes,
                               const Paging &paging);
/// out, dq, dk and dv.
AttentionProgram attentionAdjoints(const std::string &name, const AttentionSizes &sizes);

/// The same with the keys in parts of chunks (lm-split-attention).
AttentionProgram inParts(AttentionProgram program, int64_t parts, int64_t chunk);
/// Lengths of one token, odd ones and those at the edges of chunks; parts without keys, more parts than a
/// warp has lanes; windows that begin within a chunk.
std::vector<AttentionProgram> splitPrograms(const std::string &element);

/// Programs over pages as attentionOverPages() takes them: pages smaller and larger than tiles, windows,
/// lengths that end at pages' edges; in parts where `parts` > 0.
struct PagedProgram {
  std::string name;
  AttentionSizes sizes;
  Paging paging;
  int64_t parts = 0, chunk = 0;

  AttentionProgram program(bool gathered = false) const;
};
std::vector<PagedProgram> pagedPrograms(const std::string &element);

/// Odd lengths, head dimensions small, large and odd, grouped heads, causal and not, decode;
/// windows and soft caps.
std::vector<AttentionProgram> attentionPrograms(const std::string &element);

} // namespace lmc::test
