// Which launches of the forward pass run again in the backward pass, so that the transient region
// fits a budget at the least cost: the analysis behind lm-recompute.
//
// A value that the backward pass reads lives through everything between. Where the launch that
// makes it is picked, a copy of that launch runs right before the first backward launch that needs
// it, and the backward pass reads the copy's outputs; the copy in turn reads copies of picked
// launches, so that a set of picks may be single values or whole blocks. A picked launch that the
// forward pass does not need is not copied but moved, which costs nothing.
//
// Picks are chosen by the excess: the bytes above the budget, summed over all launches. The pick
// that lowers it most for its cost comes first, until the plan fits; then those that turn out to be
// needless are dropped. Every step is measured on the planner's own list (LaunchList), so that
// the bytes are those that lm-plan-memory will need.
#pragma once

#include "passes/LaunchCost.h"

#include <optional>

namespace lmc {

struct Recomputed {
  unsigned launch; ///< of the list
  unsigned before; ///< the launch of the list in front of which it runs
  bool moved;      ///< nobody reads it earlier: it runs only there
};

/// Does the backward pass read the copy's output? Outputs that are small beside another one of the
/// launch (row statistics) are kept: they may be needed long before the large one.
bool isReadFromCopy(const LaunchList &list, const LaunchList::Launch &launch, unsigned output);

struct RecomputePlan {
  std::vector<Recomputed> launches; ///< in the list's order
  int64_t transientBytes = 0;
  double cost = 0; ///< LaunchCost::total of the copies
};

class RecomputeSearch {
public:
  /// The list must outlive the search. The forward pass ends with what the first result, the loss,
  /// is made of.
  explicit RecomputeSearch(const LaunchList &list);

  /// Nothing is recomputed.
  RecomputePlan nothing() const;
  /// The cheapest plan found within `budget` bytes. Where there is none, smallest() may have one.
  std::optional<RecomputePlan> within(int64_t budget) const;
  /// The plan of the fewest bytes found.
  RecomputePlan smallest() const;

private:
  struct Trial {
    LaunchList list;
    RecomputePlan plan; ///< its bytes once placed
  };
  using Picks = std::vector<bool>; ///< by launch

  void findTurn();
  void findGroups();
  std::optional<Trial> tryPicks(const Picks &picks) const;
  Picks grow(int64_t budget, RecomputePlan &plan) const;
  RecomputePlan prune(Picks picks, RecomputePlan plan, int64_t budget) const;
  bool mayMove(unsigned launch) const;
  int64_t unavoidableBytes() const;

  const LaunchList &list;
  unsigned turn = 0; ///< last launch of the forward pass
  std::vector<double> costs;
  std::vector<llvm::SmallVector<unsigned>> readers;   ///< by buffer: launches, in order
  std::vector<std::optional<unsigned>> producer;      ///< by buffer
  std::vector<std::optional<unsigned>> overwrittenAt; ///< by buffer: launch that updates it
  std::vector<llvm::SmallVector<unsigned>> groups;    ///< launches that are picked together
};

} // namespace lmc
