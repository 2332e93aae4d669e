// Whether two groups of ops may become one kernel.
#include "passes/Fusion.h"

#include "llvm/ADT/STLExtras.h"

using namespace mlir;

namespace lmc {

/// Is there a path from the group to `to` through an op of another group (or a view)? Then merging
/// them would close a cycle.
bool Fusion::reachesOutside(KernelGroup *from, Operation *to) const {
  SmallVector<Operation *> work;
  llvm::DenseSet<Operation *> seen;
  KernelGroup *target = groupOf.lookup(to);
  auto expand = [&](Operation *op) {
    auto at = users.find(op);
    if (at == users.end())
      return;
    for (Operation *user : at->second)
      if (seen.insert(user).second)
        work.push_back(user);
  };
  for (Operation *op : from->anchors)
    expand(op);
  // Whole groups run at once: entering one of them means leaving through any of its ops.
  while (!work.empty()) {
    Operation *op = work.pop_back_val();
    KernelGroup *group = groupOf.lookup(op);
    if (group == from)
      continue;
    if (group == target)
      continue; // a direct edge; paths through third groups are found below
    SmallVector<Operation *> members =
        group ? SmallVector<Operation *>(group->anchors.begin(), group->anchors.end())
              : SmallVector<Operation *>{op};
    for (Operation *member : members) {
      auto at = users.find(member);
      if (at == users.end())
        continue;
      for (Operation *user : at->second) {
        if (groupOf.lookup(user) == target)
          return true;
        if (seen.insert(user).second)
          work.push_back(user);
      }
    }
  }
  return false;
}

/// Does the op read what the group makes only at its own index, or, where that has fewer
/// dimensions, at the leading ones (row statistics)? Elements at other indices may not be finished,
/// or be gone.
bool Fusion::readsAligned(Operation *op, const KernelGroup &from) const {
  SmallVector<std::pair<Value, unsigned>> work; // value, is its index the op's own?
  llvm::DenseSet<std::pair<Value, unsigned>> seen;
  auto expand = [&](Operation *reader, bool aligned) {
    if (auto broadcast = dyn_cast<lm::BroadcastOp>(reader)) {
      lm::Shape source = lm::shapeOf(broadcast.getX()), result = lm::shapeOf(broadcast.getY());
      aligned &= llvm::equal(broadcast.getDims(), llvm::seq<int64_t>(0, source.size())) &&
                 source == lm::Shape(ArrayRef<lm::Dim>(result).take_front(source.size()));
    } else if (!isa<lm::PointwiseOp, lm::ReduceOp>(reader)) {
      aligned = false;
    }
    for (Value operand : reader->getOperands())
      if (seen.insert({operand, aligned}).second)
        work.emplace_back(operand, aligned);
  };
  expand(op, true);
  while (!work.empty()) {
    auto [value, aligned] = work.pop_back_val();
    if (!isStored(value))
      expand(value.getDefiningOp(), aligned);
    else if (!aligned && value.getDefiningOp() && from.anchors.contains(value.getDefiningOp()))
      return false;
  }
  return true;
}

bool Fusion::readsAny(Operation *op, const KernelGroup &from) const {
  return llvm::any_of(leaves.at(op), [&](Value leaf) {
    return leaf.getDefiningOp() && from.anchors.contains(leaf.getDefiningOp());
  });
}

/// May the pointwise op be computed on each finished element of the product?
bool Fusion::isEpilogueOf(KernelGroup &product, Operation *op, std::string &reason) const {
  if (lm::shapeOf(op->getResult(0)) != product.space) {
    reason = "its shape differs from the product's";
    return false;
  }
  // From op down to the product's values only pointwise ops of the same shape.
  SmallVector<Value> work(op->getOperands());
  llvm::DenseSet<Value> seen;
  while (!work.empty()) {
    Value next = work.pop_back_val();
    if (!seen.insert(next).second || (isStored(next) && lm::shapeOf(next) == product.space))
      continue;
    Operation *definition = next.getDefiningOp();
    if (isStored(next)) {
      if (definition && groupOf.lookup(definition) == &product) {
        reason = "it reads the product's result at other indices";
        return false;
      }
      continue;
    }
    bool pointwise = isa<lm::PointwiseOp>(definition) && lm::shapeOf(next) == product.space;
    if (!pointwise) {
      llvm::SetVector<Value> below;
      addLeaves(next, below);
      for (Value leaf : below)
        if (Operation *from = leaf.getDefiningOp(); from && groupOf.lookup(from) == &product) {
          reason = "it reads the product's result at other indices";
          return false;
        }
      continue;
    }
    llvm::append_range(work, definition->getOperands());
  }
  return true;
}

/// Does the product add to a value that dies there (a sum over chunks), and would it wait for what
/// the op reads? Its result can take over that value's place, so that it needs no memory to run at
/// once, whereas waiting keeps its operands too. With a tied head the gradient of the table has such
/// a second part, which comes at the very end of the backward pass.
bool Fusion::sumsEarlier(const KernelGroup &product, Operation *op) const {
  unsigned when = 0, now = 0;
  auto isMember = [&](Operation *other) { return product.anchors.contains(other); };
  for (Value leaf : leaves.at(op))
    if (Operation *from = leaf.getDefiningOp(); from && !isMember(from))
      when = std::max(when, position.at(from));
  for (Operation *anchor : product.anchors)
    now = std::max(now, position.at(anchor));
  auto diesHere = [&](Operation *from) {
    return llvm::all_of(users.at(from), [&](Operation *user) {
      return isMember(user) || (kindOf(user) != Kind::View && position.at(user) < now);
    });
  };
  return now < when && llvm::any_of(
                           product.anchors,
                           [&](Operation *anchor) {
                             return isa<lm::PointwiseOp>(anchor) &&
                                    llvm::any_of(leaves.at(anchor), [&](Value leaf) {
                                      Operation *from = leaf.getDefiningOp();
                                      return from && !isMember(from) &&
                                             leaf.getType() == op->getResult(0).getType() &&
                                             kindOf(from) != Kind::View && diesHere(from);
                                    });
                           });
}

bool Fusion::canJoin(KernelGroup &group, Operation *op, std::string &reason) const {
  KernelGroup &own = *groupOf.lookup(op);
  auto loops = [](KernelGroup::Family family) {
    return family == KernelGroup::Map || family == KernelGroup::Row;
  };
  if (group.family == KernelGroup::Matmul && own.family == KernelGroup::Map &&
      own.anchors.size() == 1 && isa<lm::PointwiseOp>(op)) {
    if (!isEpilogueOf(group, op, reason))
      return false;
    if (sumsEarlier(group, op))
      reason = "the product adds to a sum in place and need not wait";
    return reason.empty();
  }
  if (group.family == KernelGroup::Column && own.family == KernelGroup::Column) {
    auto dims = [](Operation *reduce) { return cast<lm::ReduceOp>(reduce).getDims(); };
    if (group.space != own.space || dims(group.anchors.front()) != dims(op)) {
      reason = "the column reductions run over different spaces";
      return false;
    }
    // One sweep over the rows gives all sums at once.
    if (llvm::any_of(own.anchors, [&](Operation *a) { return readsAny(a, group); }) ||
        llvm::any_of(group.anchors, [&](Operation *a) { return readsAny(a, own); })) {
      reason = "it needs the other's finished sums";
      return false;
    }
    return true;
  }
  if (!loops(group.family) || !loops(own.family)) {
    reason = "families " + nameOf(group.family).str() + " and " + nameOf(own.family).str() +
             " do not share a launch";
    return false;
  }
  auto hasInnerSum = [&](const KernelGroup &map) {
    return llvm::any_of(map.anchors, [&](Operation *a) { return kindOf(a) == Kind::InnerReduce; });
  };
  if (group.family != own.family && (hasInnerSum(group) || hasInnerSum(own))) {
    reason = "a row kernel would reduce the inner dimensions in each of its passes";
    return false;
  }
  // Row statistics [R] beside a row space [R, N].
  auto isRowStatistic = [](const KernelGroup &row, const KernelGroup &map) {
    return row.family == KernelGroup::Row && map.family == KernelGroup::Map &&
           ArrayRef<lm::Dim>(row.space).drop_back() == ArrayRef<lm::Dim>(map.space) &&
           !map.space.empty();
  };
  if (group.space != own.space && !isRowStatistic(group, own) && !isRowStatistic(own, group)) {
    reason = "spaces " + lm::toString(group.space) + " and " + lm::toString(own.space) + " differ";
    return false;
  }
  if (!llvm::all_of(own.anchors, [&](Operation *a) { return readsAligned(a, group); }) ||
      !llvm::all_of(group.anchors, [&](Operation *a) { return readsAligned(a, own); })) {
    reason = "it reads the other's result at other indices";
    return false;
  }
  return true;
}

} // namespace lmc
