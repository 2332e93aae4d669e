// Pages of paged KV caches, and who has them. The pool itself is tensors of the executable, [N, P, G, D]; a run
// reads the sequence's table from the input `pages` [1, M], or [n, M] of several: page j holds tokens j P .. j P + P - 1.
//
// A sequence is promised its most pages when it starts and takes them as it grows, so that no run ever
// finds the pool empty: whoever starts sequences waits, or is refused, before anything is computed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace lmc {

class Executable;
class Session;

/// The input that has a sequence's table, or those of several; entries of no page are -1.
inline constexpr std::string_view kPages = "pages";

/// Of an executable with paged caches.
struct PageLayout {
  int64_t pageTokens = 0; ///< P
  int64_t poolPages = 0;  ///< N
  int64_t tablePages = 0; ///< M, of a sequence
  int64_t poolTokens() const { return pageTokens * poolPages; }
};

/// Nothing where each slot has caches of its own. Throws Error where caches and table do not fit together.
std::optional<PageLayout> pageLayout(const Executable &executable);

/// Gives one sequence, which runs alone, the pool's first pages; nothing where there are none.
void usePagesInOrder(Session &session);

/// Not thread-safe. Outlives its leases.
class PagePool {
public:
  PagePool(int64_t pages, int64_t pageTokens);

  /// A sequence's pages; gives them back when it ends.
  class Lease {
  public:
    ~Lease();
    Lease(const Lease &) = delete;
    /// Takes what `tokens` tokens need. Throws Error where they are more than were promised.
    void grow(int64_t tokens);
    std::span<const int32_t> pages() const { return held; } ///< in the order of tokens

  private:
    friend class PagePool;
    Lease(PagePool &pool, int64_t promised) : pool(pool), promised(promised) {}
    PagePool &pool;
    int64_t promised;
    std::vector<int32_t> held;
  };

  /// Promises pages for `tokens` tokens; null while others have been promised too many.
  std::unique_ptr<Lease> lease(int64_t tokens);
  int64_t promisedPages() const { return promised; }
  int64_t takenPages() const { return total - static_cast<int64_t>(free.size()); }

private:
  int64_t total, pageTokens, promised = 0;
  std::vector<int32_t> free; ///< the last one is taken next
};

} // namespace lmc
