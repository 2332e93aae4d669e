#include "AttentionPrograms.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>

namespace lmc::test {
namespace {

std::vector<double> numbers(int64_t count, uint64_t seed) {
  std::vector<double> result(count);
  uint64_t state = 2 * seed + 1;
  for (double &x : result) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    x = (static_cast<double>(state >> 40 & 127) - 64) / 64;
  }
  return result;
}

/// Text and inputs of a function, piece by piece.
class Writer {
public:
  explicit Writer(const AttentionSizes &sizes) : sizes(sizes) {
    if (sizes.symbolic)
      source.extents = {{"B", sizes.B}, {"T", sizes.T}};
    source.tolerance = sizes.element == "bf16" ? 1.6e-2 : 2e-5;
  }

  /// [B, tokens, heads, D], without the last for statistics; tokens < 0: T, which may be a symbol.
  std::string type(int64_t heads, int64_t tokens = -1, bool statistic = false) const {
    bool symbol = sizes.symbolic && tokens < 0;
    std::string batch = sizes.symbolic ? "?" : std::to_string(sizes.B);
    std::string length = symbol ? "?" : std::to_string(tokens < 0 ? sizes.T : tokens);
    std::string dims = !sizes.symbolic ? ""
                       : symbol        ? ", #lm.dims<\"B\", \"T\">"
                                       : ", #lm.dims<\"B\">";
    return fmt::format("tensor<{}x{}x{}{}x{}{}>", batch, length, heads,
                       statistic ? "" : "x" + std::to_string(sizes.D),
                       statistic ? "f32" : sizes.element, dims);
  }

  void argument(const std::string &name, int64_t heads, int64_t tokens = -1) {
    arguments += fmt::format("{}%{}: {}", arguments.empty() ? "" : ", ", name, type(heads, tokens));
    int64_t count = sizes.B * (tokens < 0 ? sizes.T : tokens) * heads * sizes.D;
    inputs.push_back(numbers(count, inputs.size()));
  }

  void scalar(const std::string &name, int64_t value) {
    arguments += fmt::format(", %{}: tensor<i32>", name);
    inputs.push_back({static_cast<double>(value)});
  }

  void queriesKeysValues() {
    if (!sizes.fused) {
      argument("q", sizes.H);
      argument("k", sizes.G);
      argument("v", sizes.G);
      return;
    }
    int64_t all = sizes.H + 2 * sizes.G, start = 0;
    argument("qkv", all);
    for (auto [name, heads] : {std::pair("q", sizes.H), {"k", sizes.G}, {"v", sizes.G}}) {
      body +=
          fmt::format("  %{} = lm.slice %qkv {{dim = 2 : i64, start = {} : i64, size = {} : i64}} "
                      ": ({}) -> {}\n",
                      name, start, heads, type(all), type(heads));
      start += heads;
    }
  }

  /// Keys or values [rows, tokens, G, D]; elements are the caller's.
  void cache(const std::string &name, int64_t rows, int64_t tokens, std::vector<double> elements) {
    std::string type =
        fmt::format("tensor<{}x{}x{}x{}x{}>", rows, tokens, sizes.G, sizes.D, sizes.element);
    if (rows == sizes.B && sizes.symbolic)
      type = fmt::format("tensor<?x{}x{}x{}x{}, #lm.dims<\"B\">>", tokens, sizes.G, sizes.D,
                         sizes.element);
    add(name, type, std::move(elements));
  }
  /// i32 [B, ...].
  void numbersOfEach(const std::string &name, const std::vector<int64_t> &values) {
    int64_t each = static_cast<int64_t>(values.size()) / sizes.B;
    std::string rest = name == "past" ? "" : fmt::format("x{}", each);
    add(name,
        sizes.symbolic ? fmt::format("tensor<?{}xi32, #lm.dims<\"B\">>", rest)
                       : fmt::format("tensor<{}{}xi32>", sizes.B, rest),
        {values.begin(), values.end()});
  }
  void add(const std::string &name, const std::string &type, std::vector<double> elements) {
    arguments += fmt::format("{}%{}: {}", arguments.empty() ? "" : ", ", name, type);
    types[name] = type;
    inputs.push_back(std::move(elements));
  }

  std::string attributes() const {
    double scale = sizes.scale == 0 ? 1 / std::sqrt(static_cast<double>(sizes.D)) : sizes.scale;
    std::string text = fmt::format("scale = {:.17e} : f64", scale);
    if (sizes.causal)
      text += ", causal";
    if (sizes.window)
      text += fmt::format(", window = {} : i64", sizes.window);
    if (sizes.softCap != 0)
      text += fmt::format(", soft_cap = {:.17e} : f64", sizes.softCap);
    return "{" + text + "}";
  }

  void attention(const std::string &past, int64_t keys = -1) {
    body +=
        fmt::format("  %out, %lse = lm.attention %q, %k, %v{} {} : ({}, {}, {}{}) -> ({}, {})\n",
                    past.empty() ? "" : ", %" + past, attributes(), type(sizes.H),
                    type(sizes.G, keys), type(sizes.G, keys), past.empty() ? "" : ", tensor<i32>",
                    type(sizes.H), type(sizes.H, -1, true));
  }

  AttentionProgram finish(const std::string &name, const std::string &results,
                          const std::string &types) {
    source.name = name;
    source.mlir = fmt::format(
        "func.func @f({}) -> ({}){} {{\n{}  return {} : {}\n}}\n", arguments, types,
        sizes.symbolic ? fmt::format(" attributes {{lm.ranges = {{B = array<i64: 1, 8>, T = "
                                     "array<i64: 1, {}>}}}}",
                                     sizes.longest)
                       : "",
        body, results, types);
    return {source, inputs};
  }

  const AttentionSizes &sizes;
  Source source;
  std::string arguments, body;
  std::map<std::string, std::string> types; ///< of arguments by add()
  std::vector<std::vector<double>> inputs;
};

} // namespace

AttentionProgram attentionForward(const std::string &name, const AttentionSizes &sizes) {
  Writer w(sizes);
  w.queriesKeysValues();
  w.attention("");
  return w.finish(name, "%out, %lse", w.type(sizes.H) + ", " + w.type(sizes.H, -1, true));
}

AttentionProgram attentionOverCache(const std::string &name, const AttentionSizes &sizes, int64_t S,
                                    int64_t past) {
  Writer w(sizes);
  w.argument("q", sizes.H);
  w.argument("k", sizes.G, S);
  w.argument("v", sizes.G, S);
  w.scalar("past", past);
  w.attention("past", S);
  return w.finish(name, "%out, %lse", w.type(sizes.H) + ", " + w.type(sizes.H, -1, true));
}

namespace {

/// A table of pages of `used`, each once, in no order; a pool has one page more, which is nobody's.
/// Entries that no token needs lead far out of the pool.
std::vector<int64_t> tableOf(const AttentionSizes &sizes, const Paging &paging) {
  std::vector<int64_t> table(sizes.B * paging.pages);
  std::iota(table.begin(), table.end(), 1);
  std::shuffle(table.begin(), table.end(), std::mt19937(5));
  for (int64_t b = 0; b < sizes.B; ++b) {
    int64_t used = (paging.past[b] + sizes.T + paging.tokens - 1) / paging.tokens;
    for (int64_t i = used; i < paging.pages; ++i)
      table[b * paging.pages + i] = 1 << 30;
  }
  return table;
}

} // namespace

AttentionProgram attentionOverPages(const std::string &name, const AttentionSizes &sizes,
                                    const Paging &paging, bool gathered) {
  Writer w(sizes);
  std::vector<int64_t> table = tableOf(sizes, paging);
  int64_t row = sizes.G * sizes.D, page = paging.tokens * row, pages = sizes.B * paging.pages + 1;
  w.argument("q", sizes.H);
  for (auto [seed, cache] : {std::pair(3, "k"), {4, "v"}}) {
    std::vector<double> pool = numbers(pages * page, seed);
    std::fill_n(pool.begin(), page, std::numeric_limits<double>::quiet_NaN());
    if (!gathered) {
      w.cache(cache, pages, paging.tokens, pool);
      continue;
    }
    std::vector<double> whole(sizes.B * paging.pages * page);
    for (size_t i = 0; i < table.size(); ++i)
      if (table[i] < pages)
        std::copy_n(pool.begin() + table[i] * page, page, whole.begin() + i * page);
    w.cache(cache, sizes.B, paging.pages * paging.tokens, whole);
  }
  w.numbersOfEach("past", paging.past);
  std::string operands = "%q, %k, %v, %past", types = w.type(sizes.H);
  for (const char *x : {"k", "v", "past"})
    types += ", " + w.types[x];
  if (!gathered) {
    w.numbersOfEach("pages", table);
    operands += ", %pages";
    types += ", " + w.types["pages"];
  }
  std::string results = w.type(sizes.H) + ", " + w.type(sizes.H, -1, true);
  w.body = fmt::format("  %out, %lse = lm.attention {} {} : ({}) -> ({})\n", operands,
                       w.attributes(), types, results);
  return w.finish(name, "%out, %lse", results);
}

AttentionProgram appendToPages(const std::string &name, const AttentionSizes &sizes,
                               const Paging &paging) {
  Writer w(sizes);
  std::vector<int64_t> table = tableOf(sizes, paging);
  std::fill_n(table.end() - paging.pages, paging.pages, -1);
  int64_t pages = sizes.B * paging.pages + 1;
  w.cache("pool", pages, paging.tokens, numbers(pages * paging.tokens * sizes.G * sizes.D, 1));
  std::string pool = w.types["pool"], marked = pool + " {lm.name = \"pool\", lm.role = \"state\"}";
  w.arguments = "%pool: " + marked;
  w.argument("new", sizes.G);
  w.numbersOfEach("past", paging.past);
  w.numbersOfEach("pages", table);
  w.body =
      fmt::format("  %y = lm.cache_append %pool, %new, %past, %pages : ({0}, {1}, {2}, {3}) -> "
                  "{0}\n",
                  pool, w.type(sizes.G), w.types["past"], w.types["pages"]);
  AttentionProgram program = w.finish(name, "%y", pool);
  std::string &text = program.source.mlir;
  std::string result = "-> (" + pool + ")";
  text.replace(text.find(") " + result), result.size() + 2,
               ") -> (" + pool + " {lm.updates = 0 : i64})");
  return program;
}

AttentionProgram PagedProgram::program(bool gathered) const {
  AttentionProgram one =
      attentionOverPages((gathered ? "whole_" : "paged_") + name, sizes, paging, gathered);
  return parts ? inParts(one, parts, chunk) : one;
}

std::vector<PagedProgram> pagedPrograms(const std::string &element) {
  auto sizes = [&](int64_t T, int64_t H, int64_t G, int64_t D, bool causal = true) {
    return AttentionSizes{element, 2, T, H, G, D, causal};
  };
  auto symbolic = [](AttentionSizes s, int64_t B, int64_t longest) {
    s.symbolic = true;
    s.B = B;
    s.longest = longest;
    return s;
  };
  return {
      {"small", sizes(1, 8, 2, 64), {16, 14, {150, 0}}},
      {"tiles", sizes(1, 8, 2, 64), {128, 2, {200, 127}}},
      {"large", sizes(1, 2, 1, 80), {256, 2, {256, 511}}},
      {"odd", sizes(1, 4, 2, 10, false), {7, 20, {139, 6}}},
      {"guesses", sizes(5, 8, 2, 80), {32, 5, {128, 60}}},
      {"window", sizes(1, 8, 2, 64).modified(30, 0.6), {128, 3, {350, 127}}},
      {"window_small", sizes(2, 2, 1, 16).modified(70), {16, 12, {188, 15}}},
      {"chunk", symbolic(sizes(41, 4, 2, 64), 2, 512), {16, 10, {77, 3}}},
      {"chunk_of_tiles", sizes(33, 2, 2, 128), {128, 2, {170, 95}}},
      {"sequences", symbolic(sizes(1, 4, 2, 16), 5, 1), {64, 3, {0, 63, 64, 130, 191}}},
      {"parts", sizes(1, 8, 2, 64), {64, 4, {150, 31}}, 3, 32},
      {"parts_of_pages", sizes(1, 2, 1, 128), {128, 2, {255, 40}}, 2, 128},
      {"parts_small", sizes(1, 4, 2, 16), {16, 12, {190, 2}}, 5, 32},
      {"parts_odd", sizes(3, 2, 1, 10, false), {9, 20, {170, 77}}, 3, 16},
      {"parts_window", sizes(1, 8, 2, 64).modified(70), {64, 6, {350, 33}}, 3, 32},
      {"parts_sequences", symbolic(sizes(1, 4, 2, 64), 3, 1), {64, 4, {0, 255, 100}}, 3, 32},
  };
}

AttentionProgram attentionAdjoints(const std::string &name, const AttentionSizes &sizes) {
  Writer w(sizes);
  w.queriesKeysValues();
  w.argument("dout", sizes.H);
  w.attention("");
  std::string q = w.type(sizes.H), k = w.type(sizes.G);
  std::string gradients = fmt::format("{}, {}, {}", q, k, k);
  w.body +=
      fmt::format("  %dq, %dk, %dv = lm.attention_grad %q, %k, %v, %out, %lse, %dout {} : ({}, "
                  "{}, {}, {}) -> ({})\n",
                  w.attributes(), gradients, q, w.type(sizes.H, -1, true), q, gradients);
  return w.finish(name, "%out, %dq, %dk, %dv", q + ", " + gradients);
}

AttentionProgram inParts(AttentionProgram program, int64_t parts, int64_t chunk) {
  SplitAttentionOptions split;
  split.parts = parts;
  split.chunk = chunk;
  program.source.splitAttention = split;
  return program;
}

std::vector<AttentionProgram> splitPrograms(const std::string &element) {
  std::vector<AttentionProgram> list;
  auto add = [&](const std::string &name, const AttentionSizes &sizes, int64_t S, int64_t past,
                 int64_t parts, int64_t chunk) {
    list.push_back(inParts(attentionOverCache("split_" + name, sizes, S, past), parts, chunk));
  };
  auto sizes = [&](int64_t B, int64_t T, int64_t H, int64_t G, int64_t D, bool causal = true) {
    return AttentionSizes{element, B, T, H, G, D, causal};
  };
  add("slots", sizes(3, 1, 8, 2, 64), 211, 150, 3, 32);
  add("first_token", sizes(1, 1, 2, 2, 128), 170, 0, 4, 32);
  add("before_an_edge", sizes(1, 1, 4, 2, 80), 133, 30, 3, 32);
  add("at_an_edge", sizes(1, 1, 4, 2, 80), 133, 31, 3, 32);
  add("behind_an_edge", sizes(1, 1, 4, 2, 80), 133, 32, 3, 32);
  add("at_an_edge_of_parts", sizes(1, 1, 2, 1, 96), 133, 95, 2, 48);
  add("full", sizes(1, 3, 2, 1, 10, false), 190, 77, 5, 16);
  add("all_of_it", sizes(1, 1, 2, 1, 7), 101, 100, 2, 16);
  add("d256", sizes(1, 1, 2, 1, 256, false), 290, 281, 3, 64);
  add("tiles_of_a_chunk", sizes(1, 1, 2, 1, 16), 1100, 1029, 2, 256);
  add("many_parts", sizes(1, 1, 2, 1, 8), 700, 651, 41, 16);
  add("one_part", sizes(1, 1, 2, 1, 8), 70, 51, 1, 16);
  add("many_heads", sizes(1, 1, 37, 1, 12), 90, 70, 3, 16);
  add("guesses", sizes(1, 5, 8, 2, 80), 133, 62, 3, 32);
  AttentionSizes symbolic = sizes(2, 3, 4, 2, 64);
  symbolic.symbolic = true;
  symbolic.longest = 6;
  add("symbolic", symbolic, 155, 77, 3, 32);
  // Windows that begin within a chunk, that leave parts without keys, of which a row sees nothing in a
  // part that others do.
  add("window", sizes(2, 1, 8, 2, 64).modified(70), 411, 350, 3, 32);
  add("window_of_two_chunks", sizes(1, 1, 2, 1, 16).modified(17), 200, 100, 5, 16);
  add("window_not_full", sizes(1, 1, 4, 2, 80).modified(99, 0.6), 211, 41, 3, 32);
  add("window_guesses", sizes(1, 5, 8, 2, 16).modified(3, 0.5), 133, 60, 4, 16);
  AttentionSizes negative = sizes(1, 1, 2, 1, 16);
  negative.scale = -0.5;
  add("negative_scale", negative.modified(0, 0.7), 100, 70, 3, 16);
  return list;
}

std::vector<AttentionProgram> attentionPrograms(const std::string &element) {
  std::vector<AttentionProgram> list;
  auto sizes = [&](int64_t B, int64_t T, int64_t H, int64_t G, int64_t D, bool causal) {
    return AttentionSizes{element, B, T, H, G, D, causal};
  };
  auto fused = [](AttentionSizes s) {
    s.fused = true;
    return s;
  };
  auto symbolic = [](AttentionSizes s) {
    s.symbolic = true;
    return s;
  };
  // Several tiles on both sides, and their edges; one of each kind.
  list.push_back(attentionAdjoints("d64_causal", fused(sizes(1, 150, 2, 2, 64, true))));
  list.push_back(attentionAdjoints("d64_full", symbolic(sizes(2, 67, 2, 1, 64, false))));
  list.push_back(attentionAdjoints("d80", sizes(1, 70, 1, 1, 80, true)));
  list.push_back(attentionAdjoints("d96", sizes(1, 65, 1, 1, 96, false)));
  list.push_back(attentionAdjoints("d128", fused(sizes(1, 71, 2, 1, 128, true))));
  list.push_back(attentionAdjoints("d256", sizes(1, 67, 1, 1, 256, true)));
  list.push_back(attentionAdjoints("d10_groups", symbolic(fused(sizes(2, 39, 6, 2, 10, true)))));
  list.push_back(attentionAdjoints("one_token", sizes(2, 1, 2, 1, 8, true)));
  list.push_back(attentionForward("d7", sizes(1, 131, 2, 1, 7, true)));
  AttentionSizes negative = sizes(1, 33, 1, 1, 16, true);
  negative.scale = -0.5;
  list.push_back(attentionAdjoints("negative_scale", negative));
  // Windows smaller and larger than tiles, of one key, of all keys but one and of all.
  list.push_back(attentionAdjoints("window", fused(sizes(1, 150, 2, 1, 64, true).modified(40))));
  list.push_back(attentionAdjoints("window_of_one", sizes(2, 39, 2, 2, 16, true).modified(1)));
  list.push_back(attentionAdjoints("window_wide", sizes(1, 331, 1, 1, 16, true).modified(150)));
  list.push_back(attentionAdjoints("window_but_one", sizes(1, 71, 2, 1, 10, true).modified(70)));
  list.push_back(attentionAdjoints("window_of_all", sizes(1, 71, 1, 1, 10, true).modified(71)));
  list.push_back(
      attentionAdjoints("window_symbolic", symbolic(sizes(2, 93, 2, 1, 128, true).modified(33))));
  list.push_back(attentionAdjoints("soft_cap", sizes(2, 67, 2, 1, 64, false).modified(0, 0.7)));
  list.push_back(attentionAdjoints("both", sizes(1, 150, 1, 1, 96, true).modified(33, 0.5)));
  list.push_back(attentionAdjoints("negative_soft_cap", negative.modified(20, 0.4)));
  // Behind a cache: one query, several in one tile of packed heads, more than fit there.
  list.push_back(attentionOverCache("decode", sizes(2, 1, 8, 2, 64, true), 211, 150));
  list.push_back(attentionOverCache("decode_first", sizes(1, 1, 2, 2, 128, true), 70, 0));
  list.push_back(attentionOverCache("decode_d256", sizes(1, 1, 2, 1, 256, false), 90, 81));
  list.push_back(attentionOverCache("decode_five", sizes(1, 5, 8, 2, 80, true), 133, 128));
  list.push_back(attentionOverCache("decode_three_full", sizes(1, 3, 2, 1, 10, false), 90, 59));
  list.push_back(attentionOverCache("chunk", symbolic(sizes(1, 41, 4, 2, 64, true)), 155, 77));
  list.push_back(attentionOverCache("chunk_full", sizes(1, 33, 2, 2, 16, false), 100, 31));
  list.push_back(
      attentionOverCache("decode_window", sizes(2, 1, 8, 2, 64, true).modified(30), 411, 350));
  list.push_back(attentionOverCache("decode_not_full",
                                    sizes(1, 1, 4, 2, 80, true).modified(99, 0.6), 211, 41));
  list.push_back(
      attentionOverCache("decode_five_window", sizes(1, 5, 8, 2, 16, true).modified(3), 133, 120));
  list.push_back(attentionOverCache(
      "chunk_window", symbolic(sizes(1, 41, 4, 2, 64, true).modified(50, 0.5)), 255, 177));
  return list;
}

} // namespace lmc::test
