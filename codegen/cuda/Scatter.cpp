// Writes at places that data decides: gradients of embeddings, KV caches.
#include "codegen/cuda/Expression.h"

#include "codegen/cuda/ScalarPrinter.h"

using namespace mlir;

namespace lmc::cuda {
namespace {

constexpr unsigned kThreads = 256;
/// Table rows of a block, which reads all ids once.
constexpr int64_t kRows = 8;

template <typename Op> Op only(Block &body) { return *body.getOps<Op>().begin(); }

} // namespace

// Mapping: a block owns some rows of the table. It zeroes them, goes through all ids, kThreads at a
// time, and adds the updates whose id is its own in the order of ids, a thread some columns:
// deterministic without atomics. Shared memory: one word of found ids a warp. Limit: writing the
// table once, and reading the ids once a block (from L2).
Launch emitScatter(Expression &x) {
  auto op = only<lm::ScatterAddOp>(x.body);
  lm::Shape table = lm::shapeOf(op.getY()), ids = lm::shapeOf(op.getIds());
  assert(table[0].isStatic() && table[1].isStatic() && "tables are model dimensions");
  int64_t rows = table[0].size, width = table[1].size;
  Type element = lm::elementOf(op.getY());
  std::string count = x.text(x.product(ids));

  x.line("const index_t thread = static_cast<index_t>(threadIdx.x);");
  x.line(fmt::format("const index_t first = static_cast<index_t>(blockIdx.x) * {};", kRows));
  x.line(fmt::format("const index_t end = first + {} < {} ? first + {} : {};", kRows, rows, kRows,
                     rows));
  x.braces(fmt::format("for (index_t i = first * {0} + thread; i < end * {0}; i += {1})", width,
                       kThreads),
           [&] {
             x.line(fmt::format("{}[i] = {};", x.output(0),
                                Expression::stored(element, literal(element, 0.0))));
           });
  x.line(fmt::format("__shared__ unsigned found[{}];", kThreads / 32));
  x.braces(fmt::format("for (index_t base = 0; base < {}; base += {})", count, kThreads), [&] {
    x.line("bool mine = false;");
    x.braces(fmt::format("if (base + thread < {})", count), [&] {
      x.line("const index_t candidate = base + thread;");
      Index at;
      at.at = x.unflatten("candidate", ids);
      std::string id = x.evaluate(op.getIds(), at);
      x.line(fmt::format("mine = {0} >= first && {0} < end;", id));
    });
    x.line("const unsigned ofWarp = __ballot_sync(0xffffffffu, mine);");
    x.line("if (threadIdx.x % 32 == 0)");
    x.line("  found[threadIdx.x / 32] = ofWarp;");
    x.line("__syncthreads();");
    x.braces(fmt::format("for (int warp = 0; warp < {}; ++warp)", kThreads / 32), [&] {
      x.braces("for (unsigned bits = found[warp]; bits != 0; bits &= bits - 1)", [&] {
        x.line("const index_t hit = base + 32 * warp + lmc::lowestBit(bits);");
        Index at;
        at.at = x.unflatten("hit", ids);
        std::string id = x.evaluate(op.getIds(), at);
        x.braces(fmt::format("for (index_t c = thread; c < {}; c += {})", width, kThreads), [&] {
          Index update = at;
          update.at.push_back("c");
          std::string more = x.evaluate(op.getUpdates(), update);
          std::string place =
              fmt::format("{}[static_cast<index_t>({}) * {} + c]", x.output(0), id, width);
          x.line(fmt::format(
              "{0} = {1};", place,
              Expression::stored(
                  element, fmt::format("{} + {}", Expression::loaded(element, place), more))));
        });
      });
    });
    x.line("__syncthreads();"); // before the next ids are found
  });
  return {gridOf(x.product({table[0]}), kRows), kThreads,
          fmt::format("{} rows of the table a block", kRows)};
}

// Mapping: a thread an element of the update. The cache is its own output (the plan updates it in
// place), so only new rows are written, of a pool those of the sequence's pages; a token without a page is left
// out. Limit: memory bandwidth.
Launch emitCacheAppend(Expression &x) {
  auto op = only<lm::CacheAppendOp>(x.body);
  lm::Shape cache = lm::shapeOf(op.getCache()), update = lm::shapeOf(op.getUpdate());
  x.line(fmt::format("const index_t flat = static_cast<index_t>(blockIdx.x) * {} + "
                     "static_cast<index_t>(threadIdx.x);",
                     kThreads));
  x.line(fmt::format("if (flat >= {})", x.text(x.product(update))));
  x.line("  return;");
  Index from;
  from.at = x.unflatten("flat", update);
  Index to = from;
  Index sequence;
  if (!lm::shapeOf(op.getPast()).empty())
    sequence.at = {from.at[0]};
  std::string past = x.name(
      "index_t", fmt::format("static_cast<index_t>({})", x.evaluate(op.getPast(), sequence)));
  to.at[1] =
      x.add(from.at[1], x.name("index_t", fmt::format("lmc::maximum({}, index_t(0))", past)));
  if (op.getPages()) {
    std::string place = x.name("index_t", to.at[1]), tokens = std::to_string(cache[1].size);
    x.line(fmt::format("if ({} >= {})", place, x.text(x.product(op.getKeyDims()))));
    x.line("  return;");
    Index entry;
    entry.at = {from.at[0], x.div(place, tokens)};
    to.at[0] = x.name("index_t",
                      fmt::format("static_cast<index_t>({})", x.evaluate(op.getPages(), entry)));
    to.at[1] = x.rem(place, tokens);
    x.line(fmt::format("if ({0} < 0 || {0} >= {1})", to.at[0], x.text(x.product({cache[0]}))));
    x.line("  return;");
  }
  std::string element = x.evaluate(op.getUpdate(), from);
  x.store(0, element, to);
  return {gridOf(x.product(update), kThreads), kThreads, "one element a thread"};
}

} // namespace lmc::cuda
