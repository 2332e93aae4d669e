#include "runtime/PagePool.h"

#include "runtime/Error.h"
#include "runtime/Executable.h"
#include "runtime/Session.h"

#include <algorithm>

namespace lmc {

std::optional<PageLayout> pageLayout(const Executable &executable) {
  const auto &message = executable.message();
  int index = executable.findTensor(kPages);
  if (index < 0)
    return std::nullopt;
  const auto &table = message.tensors(index);
  if (table.role() != executable::INPUT || table.dtype() != executable::I32 ||
      table.shape_size() != 2 || table.shape(0) == 0 || table.shape(1) < 1)
    fail("'{}' is not a table of sequences' pages, i32 [n, M]", kPages);
  PageLayout layout{0, 0, table.shape(1)};
  for (const auto &tensor : message.tensors()) {
    if (tensor.role() != executable::CACHE)
      continue;
    if (tensor.shape_size() != 4 || tensor.shape(0) < 1 || tensor.shape(1) < 1)
      fail("cache '{}' is no pool of pages [N, P, G, D]", tensor.name());
    bool first = layout.poolPages == 0;
    if (!first && (tensor.shape(0) != layout.poolPages || tensor.shape(1) != layout.pageTokens))
      fail("cache '{}' has {} pages of {} tokens, others have {} of {}", tensor.name(),
           tensor.shape(0), tensor.shape(1), layout.poolPages, layout.pageTokens);
    layout.poolPages = tensor.shape(0);
    layout.pageTokens = tensor.shape(1);
  }
  if (layout.poolPages == 0)
    fail("there is a table '{}', but no cache", kPages);
  return layout;
}

void usePagesInOrder(Session &session) {
  auto layout = pageLayout(session.executable());
  if (!layout)
    return;
  std::span<int32_t> table = session.i32(kPages);
  for (int64_t i = 0; i < layout->tablePages; ++i)
    table[i] = i < layout->poolPages ? static_cast<int32_t>(i) : -1;
}

PagePool::PagePool(int64_t pages, int64_t pageTokens) : total(pages), pageTokens(pageTokens) {
  for (int64_t page = pages; page-- > 0;)
    free.push_back(static_cast<int32_t>(page));
}

std::unique_ptr<PagePool::Lease> PagePool::lease(int64_t tokens) {
  int64_t pages = (tokens + pageTokens - 1) / pageTokens;
  if (pages > total - promised)
    return nullptr;
  promised += pages;
  return std::unique_ptr<Lease>(new Lease(*this, pages));
}

void PagePool::Lease::grow(int64_t tokens) {
  int64_t pages = (tokens + pool.pageTokens - 1) / pool.pageTokens;
  if (pages > promised)
    fail("{} tokens need {} pages, and {} were promised to the sequence", tokens, pages, promised);
  for (; static_cast<int64_t>(held.size()) < pages; pool.free.pop_back())
    held.push_back(pool.free.back());
}

PagePool::Lease::~Lease() {
  pool.promised -= promised;
  pool.free.insert(pool.free.end(), held.rbegin(), held.rend());
}

} // namespace lmc
