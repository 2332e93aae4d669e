#include "passes/RecomputeSearch.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringMap.h"

#include <numeric>
#include <queue>

using namespace mlir;

namespace lmc {
namespace {

/// Blocks longer than this are found pick by pick.
constexpr size_t kLongestGroup = 32;

double excessOf(const Placement &placement, int64_t target) {
  double sum = 0;
  for (int64_t live : placement.liveBytes())
    sum += static_cast<double>(std::max<int64_t>(0, live - target));
  return sum;
}

int64_t peakOf(const Placement &placement) {
  std::vector<int64_t> live = placement.liveBytes();
  return *std::max_element(live.begin(), live.end());
}

} // namespace

bool isReadFromCopy(const LaunchList &list, const LaunchList::Launch &launch, unsigned output) {
  int64_t largest = 0;
  for (const LaunchList::Output &other : launch.outputs)
    largest = std::max(largest, list.buffers[other.buffer].bytes);
  return list.buffers[launch.outputs[output].buffer].bytes >= largest / 8;
}

RecomputeSearch::RecomputeSearch(const LaunchList &list)
    : list(list), readers(list.buffers.size()), producer(list.buffers.size()),
      overwrittenAt(list.buffers.size()) {
  llvm::StringMap<unsigned> updatedAt;
  for (auto [i, launch] : llvm::enumerate(list.launches)) {
    costs.push_back(LaunchCost(list, launch).total());
    for (const LaunchList::Input &input : launch.inputs)
      if (readers[input.buffer].empty() || readers[input.buffer].back() != i)
        readers[input.buffer].push_back(i);
    for (const LaunchList::Output &output : launch.outputs) {
      producer[output.buffer] = i;
      if (StringRef tensor = list.buffers[output.buffer].tensor; !tensor.empty())
        updatedAt[tensor] = i;
    }
  }
  for (auto [buffer, content] : llvm::enumerate(list.buffers))
    if (!producer[buffer] && updatedAt.contains(content.tensor))
      overwrittenAt[buffer] = updatedAt[content.tensor];

  findTurn();
  findGroups();
}

/// The forward pass ends with the last launch that makes what the loss is made of. Launches of the
/// loss itself, scalars, do not count: they may come late, beside other scalars or added to a sum.
void RecomputeSearch::findTurn() {
  SmallVector<Value> work;
  llvm::DenseSet<Value> seen;
  auto visit = [&](Value value) {
    if (seen.insert(value).second)
      work.push_back(value);
  };
  auto makesScalars = [&](unsigned launch) {
    return llvm::all_of(list.launches[launch].outputs, [](const LaunchList::Output &output) {
      return lm::shapeOf(output.type).empty();
    });
  };
  llvm::DenseMap<Operation *, unsigned> position;
  for (auto [i, launch] : llvm::enumerate(list.launches))
    position[launch.kernel] = i;
  if (list.loss)
    visit(list.loss);
  while (!work.empty()) {
    Value value = work.pop_back_val();
    if (auto argument = dyn_cast<BlockArgument>(value)) { // of a kernel's body, or the function's
      if (auto kernel = dyn_cast<lm::KernelOp>(argument.getOwner()->getParentOp()))
        visit(kernel.getInputs()[argument.getArgNumber()]);
      continue;
    }
    Operation *op = value.getDefiningOp();
    if (auto kernel = dyn_cast<lm::KernelOp>(op)) {
      if (unsigned at = position.at(kernel); mayMove(at) && !makesScalars(at))
        turn = std::max(turn, at);
      Operation *yield = kernel.getBody().front().getTerminator();
      visit(yield->getOperand(cast<OpResult>(value).getResultNumber()));
    } else {
      llvm::for_each(op->getOperands(), visit);
    }
  }
}

/// What has a place of its own, or is a part of a whole, stays where it is.
bool RecomputeSearch::mayMove(unsigned launch) const {
  return llvm::all_of(list.launches[launch].outputs, [&](const LaunchList::Output &output) {
    return list.buffers[output.buffer].tensor.empty() && !output.isPart;
  });
}

/// A group is a launch that the backward pass reads, alone or with the launches before it that make
/// what would otherwise have to be kept for it.
void RecomputeSearch::findGroups() {
  auto isReadLate = [&](unsigned launch) {
    return llvm::any_of(llvm::enumerate(list.launches[launch].outputs), [&](auto output) {
      const auto &reads = readers[output.value().buffer];
      return !reads.empty() && reads.back() > turn &&
             isReadFromCopy(list, list.launches[launch], output.index());
    });
  };
  for (unsigned launch = 0; launch <= turn && launch < list.launches.size(); ++launch) {
    if (!mayMove(launch) || !isReadLate(launch))
      continue;
    groups.push_back({launch});
    SmallVector<unsigned> group = {launch};
    for (size_t next = 0; next < group.size() && group.size() <= kLongestGroup; ++next)
      for (const LaunchList::Input &input : list.launches[group[next]].inputs)
        if (std::optional<unsigned> maker = producer[input.buffer];
            maker && mayMove(*maker) && !isReadLate(*maker) && !llvm::is_contained(group, *maker))
          group.push_back(*maker);
    if (group.size() > 1 && group.size() <= kLongestGroup)
      groups.push_back(group);
  }
}

/// The list with the picks where they run; nothing where a copy would read what has been updated.
std::optional<RecomputeSearch::Trial> RecomputeSearch::tryPicks(const Picks &picks) const {
  Trial trial;
  trial.list.buffers = list.buffers;
  trial.list.results = list.results;
  // Readers come after what they read: backwards, each pick knows where its readers stand.
  std::vector<std::optional<Recomputed>> places(list.launches.size());
  for (unsigned launch = turn + 1; launch-- > 0;) {
    if (!picks[launch])
      continue;
    std::optional<unsigned> before;
    bool moved = true;
    auto readAt = [&](unsigned at) { before = std::min(before.value_or(at), at); };
    for (auto [i, output] : llvm::enumerate(list.launches[launch].outputs))
      for (unsigned reader : readers[output.buffer]) {
        if (!isReadFromCopy(list, list.launches[launch], i)) {
          moved = false;
          continue;
        }
        if (reader > turn) {
          readAt(reader);
          continue;
        }
        if (places[reader])
          readAt(places[reader]->before);
        moved &= places[reader] && places[reader]->moved;
      }
    if (!before)
      continue; // only the forward pass reads it
    places[launch] = {launch, *before, moved};
    for (const LaunchList::Input &input : list.launches[launch].inputs)
      if (overwrittenAt[input.buffer] && *overwrittenAt[input.buffer] < *before)
        return std::nullopt;
  }
  std::vector<SmallVector<unsigned>> arrivals(list.launches.size());
  for (unsigned launch = 0; launch <= turn && launch < places.size(); ++launch)
    if (places[launch]) {
      trial.plan.launches.push_back(*places[launch]);
      trial.plan.cost += places[launch]->moved ? 0 : costs[launch];
      arrivals[places[launch]->before].push_back(launch);
    }

  std::vector<unsigned> copyOf(list.buffers.size());
  std::iota(copyOf.begin(), copyOf.end(), 0);
  auto redirected = [&](LaunchList::Launch launch) {
    for (LaunchList::Input &input : launch.inputs)
      input.buffer = copyOf[input.buffer];
    return launch;
  };
  trial.list.launches.reserve(list.launches.size() + trial.plan.launches.size());
  for (unsigned launch = 0; launch < list.launches.size(); ++launch) {
    for (unsigned arrival : arrivals[launch]) {
      LaunchList::Launch copy = redirected(list.launches[arrival]);
      for (auto [i, output] : llvm::enumerate(copy.outputs)) {
        unsigned made = trial.list.buffers.size();
        trial.list.buffers.push_back(list.buffers[output.buffer]);
        if (isReadFromCopy(list, list.launches[arrival], i))
          copyOf[output.buffer] = made;
        output.buffer = made;
      }
      trial.list.launches.push_back(std::move(copy));
    }
    if (!places[launch] || !places[launch]->moved)
      trial.list.launches.push_back(redirected(list.launches[launch]));
  }
  return trial;
}

RecomputePlan RecomputeSearch::nothing() const {
  RecomputePlan plan;
  plan.transientBytes = Placement(list).place();
  return plan;
}

/// Adds groups until the plan fits the budget or no group helps.
RecomputeSearch::Picks RecomputeSearch::grow(int64_t budget, RecomputePlan &plan) const {
  Picks picks(list.launches.size(), false);
  Trial current = *tryPicks(picks);
  int64_t target = budget; // below it by what placing loses to gaps
  auto with = [&](unsigned group) {
    Picks more = picks;
    for (unsigned launch : groups[group])
      more[launch] = true;
    return more;
  };
  double excess = 0;
  auto gainOf = [&](unsigned group) { // excess that falls for each unit of cost
    std::optional<Trial> trial = tryPicks(with(group));
    if (!trial)
      return 0.0;
    double cost = std::max(1.0, trial->plan.cost - current.plan.cost);
    return (excess - excessOf(Placement(trial->list), target)) / cost;
  };
  struct Candidate {
    double gain;
    unsigned group, round;
    bool operator<(const Candidate &other) const {
      return std::tie(gain, other.group) < std::tie(other.gain, group);
    }
  };
  std::priority_queue<Candidate> queue;
  unsigned round = 0, refilled = -1u;
  while (true) {
    Placement placement(current.list);
    if (peakOf(placement) <= target) {
      current.plan.transientBytes = placement.place();
      if (current.plan.transientBytes <= budget)
        break;
      target -= std::max(kBufferAlignment, current.plan.transientBytes - budget);
      ++round;
    }
    excess = excessOf(placement, target);
    // Gains mostly shrink as picks are added: the old ones say whom to look at next.
    while (!queue.empty() && queue.top().gain > 0 && queue.top().round != round) {
      unsigned group = queue.top().group;
      queue.pop();
      if (with(group) != picks)
        queue.push({gainOf(group), group, round});
    }
    if (queue.empty() || queue.top().gain <= 0) {
      if (refilled == round) {
        current.plan.transientBytes = placement.place();
        break;
      }
      refilled = round;
      queue = {};
      for (unsigned group = 0; group < groups.size(); ++group)
        if (with(group) != picks)
          queue.push({gainOf(group), group, round});
      continue;
    }
    picks = with(queue.top().group);
    queue.pop();
    current = *tryPicks(picks);
    ++round;
  }
  plan = current.plan;
  return picks;
}

/// Drops picks that the budget does not need, the dearest first.
RecomputePlan RecomputeSearch::prune(Picks picks, RecomputePlan plan, int64_t budget) const {
  std::vector<Recomputed> byCost = plan.launches;
  llvm::stable_sort(byCost, [&](const Recomputed &a, const Recomputed &b) {
    return costs[a.launch] > costs[b.launch];
  });
  for (const Recomputed &pick : byCost) {
    Picks fewer = picks;
    fewer[pick.launch] = false;
    std::optional<Trial> trial = tryPicks(fewer);
    if (!trial)
      continue;
    Placement placement(trial->list);
    if (peakOf(placement) > budget)
      continue;
    trial->plan.transientBytes = placement.place();
    if (trial->plan.transientBytes > budget)
      continue;
    picks = std::move(fewer);
    plan = std::move(trial->plan);
  }
  return plan;
}

std::optional<RecomputePlan> RecomputeSearch::within(int64_t budget) const {
  RecomputePlan plan = nothing();
  if (plan.transientBytes <= budget)
    return plan;
  if (budget < unavoidableBytes())
    return std::nullopt;
  Picks picks = grow(budget, plan);
  if (plan.transientBytes > budget)
    return std::nullopt;
  return prune(std::move(picks), std::move(plan), budget);
}

/// Live at once of what the backward pass makes itself: no pick changes it.
int64_t RecomputeSearch::unavoidableBytes() const {
  LaunchList backward;
  backward.buffers = list.buffers;
  backward.results = list.results;
  for (unsigned launch = turn + 1; launch < list.launches.size(); ++launch)
    backward.launches.push_back(list.launches[launch]);
  return peakOf(Placement(backward));
}

RecomputePlan RecomputeSearch::smallest() const {
  RecomputePlan best = nothing();
  Picks picks(list.launches.size(), false);
  // The first try is for what nothing can be below; then the interval is halved to a thousandth.
  int64_t low = unavoidableBytes(), budget = low;
  while (best.transientBytes - low > best.transientBytes / 1024) {
    RecomputePlan plan;
    Picks tried = grow(budget, plan);
    if (plan.transientBytes > budget)
      low = budget + 1;
    if (plan.transientBytes < best.transientBytes) {
      best = std::move(plan);
      picks = std::move(tried);
    }
    budget = low + (best.transientBytes - low) / 2;
  }
  return prune(std::move(picks), best, best.transientBytes);
}

} // namespace lmc
