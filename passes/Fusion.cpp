#include "passes/Fusion.h"

#include "passes/Views.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/TypeSwitch.h"

#include <queue>
#include <utility>

using namespace mlir;

namespace lmc {

StringRef nameOf(KernelGroup::Family family) {
  static constexpr StringRef names[] = {"map",       "row",      "column",       "matmul",
                                        "attention", "gather",   "block_gather", "scatter",
                                        "cache",     "quantize", "route",        "sample"};
  return names[family];
}

static bool isRounding(Operation *op) {
  auto convert = dyn_cast<lm::ConvertOp>(op);
  return convert && convert.roundsFloats();
}

static bool convertsFloats(Operation *op) {
  auto convert = dyn_cast<lm::ConvertOp>(op);
  return convert && isa<FloatType>(lm::elementOf(convert.getX())) &&
         isa<FloatType>(lm::elementOf(convert.getY()));
}

/// An argument in another float type: whoever reads it can convert as it reads.
static bool isConvertedArgument(Operation *op) {
  return convertsFloats(op) && isa<BlockArgument>(op->getOperand(0));
}

/// What a cache holds in fewer bits.
static bool isWidenedCache(Operation *op) {
  return convertsFloats(op) && !isRounding(op) &&
         op->getOperand(0).getDefiningOp<lm::CacheAppendOp>();
}

Fusion::Kind Fusion::kindOf(Operation *op) const {
  if (isa<lm::ReshapeOp>(op) || views.contains(op))
    return Kind::View;
  if (isConvertedArgument(op) || isWidenedCache(op))
    return Kind::Free;
  if (isa<lm::ConstantOp, lm::IotaOp, lm::BroadcastOp, lm::SliceOp, lm::TransposeOp, lm::SkewOp>(
          op))
    return Kind::Free;
  if (isa<lm::PointwiseOp, lm::ConcatOp>(op))
    return Kind::Pointwise;
  if (auto reduce = dyn_cast<lm::ReduceOp>(op)) {
    int64_t rank = lm::shapeOf(reduce.getX()).size();
    if (reduce.getDims().back() == rank - 1)
      return Kind::RowReduce;
    return reduce.getDims().front() == 0 ? Kind::ColumnReduce : Kind::InnerReduce;
  }
  return Kind::Heavy;
}

Fusion::Fusion(func::FuncOp function, llvm::function_ref<void(Operation *, std::string)> explain)
    : function(function) {
  unsigned next = 0;
  for (Operation &op : function.getBody().front())
    position[&op] = next++;
  findStored();
  group();
  merge(explain);
  sort();
}

bool Fusion::isStored(Value value) const {
  return isa<BlockArgument>(value) || stored.contains(value);
}

bool Fusion::isView(Value value) const {
  return value.getDefiningOp() && kindOf(value.getDefiningOp()) == Kind::View;
}

/// Does a slice or concatenation of what is stored need no kernel? Its operands are decided.
bool Fusion::becomesView(Operation *op) const {
  if (auto slice = dyn_cast<lm::SliceOp>(op))
    return isStored(slice.getX()) && offsetOf(slice);
  auto concat = dyn_cast<lm::ConcatOp>(op);
  return concat && !offsetsOf(concat).empty() && llvm::all_of(concat.getXs(), [&](Value part) {
           return stored.contains(part) &&
                  !isView(part); // a kernel writes it, and may do so anywhere
         });
}

/// Elements at the largest extents of symbols.
int64_t Fusion::largestSize(Value value) const {
  auto ranges = function->getAttrOfType<DictionaryAttr>("lm.ranges");
  int64_t size = 1;
  for (const lm::Dim &dim : lm::shapeOf(value)) {
    if (dim.isStatic())
      size *= dim.size;
    else if (auto range = ranges ? ranges.getAs<DenseI64ArrayAttr>(dim.symbol) : nullptr)
      size *= range[1];
  }
  return size;
}

/// The stored values that recomputing `value` reads.
void Fusion::addLeaves(Value value, llvm::SetVector<Value> &found) const {
  SmallVector<Value> work = {value};
  llvm::DenseSet<Value> seen;
  while (!work.empty()) {
    Value next = work.pop_back_val();
    if (!seen.insert(next).second)
      continue;
    if (isStored(next))
      found.insert(next);
    else
      llvm::append_range(work, next.getDefiningOp()->getOperands());
  }
}

llvm::SetVector<Value> Fusion::leavesOf(Operation *op) const {
  llvm::SetVector<Value> found;
  for (Value operand : op->getOperands())
    addLeaves(operand, found);
  return found;
}

static bool isAttention(Operation *op) {
  return isa<lm::AttentionOp, lm::AttentionPartsOp, lm::AttentionDqOp, lm::AttentionDkDvOp,
             lm::AttentionDqkvOp>(op);
}

static bool isExpertProduct(Operation *op) {
  return isa<lm::ExpertMatmulOp, lm::ExpertOuterOp>(op);
}

static bool keepsLastDimension(lm::TransposeOp op) {
  return op.getPermutation().back() + 1 == static_cast<int64_t>(op.getPermutation().size());
}

static bool isIndexMap(Operation *op) {
  return isa<lm::BroadcastOp, lm::SliceOp, lm::TransposeOp, lm::SkewOp>(op);
}

/// Does computing the value again from what is stored take a polynomial or a division?
bool Fusion::isDear(Value value) const {
  SmallVector<Value> work = {value};
  llvm::DenseSet<Value> seen;
  while (!work.empty()) {
    Value next = work.pop_back_val();
    if (isStored(next) || !seen.insert(next).second)
      continue;
    Operation *op = next.getDefiningOp();
    if (isa<lm::ExpOp, lm::Expm1Op, lm::LogOp, lm::TanhOp, lm::ErfOp, lm::SinOp, lm::CosOp,
            lm::DivOp, lm::SqrtOp, lm::RsqrtOp>(op))
      return true;
    llvm::append_range(work, op->getOperands());
  }
  return false;
}

/// Stores what windows would compute many times: dear values behind a broadcast that a skew or an
/// inner reduction reads.
void Fusion::storeRepeated(Value window) {
  SmallVector<std::pair<Value, bool>> work = {{window, false}}; // is it repeated?
  llvm::DenseSet<std::pair<Value, unsigned>> seen;
  while (!work.empty()) {
    auto [value, repeated] = work.pop_back_val();
    if (isStored(value) || !seen.insert({value, repeated}).second)
      continue;
    Operation *op = value.getDefiningOp();
    if (repeated && isa<lm::PointwiseOp>(op)) {
      if (isDear(value))
        stored.insert(value);
      continue;
    }
    if (isIndexMap(op) || isa<lm::PointwiseOp>(op))
      for (Value operand : op->getOperands())
        work.emplace_back(operand, repeated || isa<lm::BroadcastOp>(op));
  }
}

void Fusion::findStored() {
  Block &body = function.getBody().front();
  // What is read as it lies in memory; slices and transposes of it are read through strides.
  llvm::DenseSet<Value> required;
  auto require = [&](Operation *reader, Value value) {
    bool converts = isa<lm::MatmulOp, lm::GatherOp>(reader) || isExpertProduct(reader);
    bool moved = false; // by a slice: a generator takes one offset
    while (Operation *op = value.getDefiningOp()) {
      auto slice = dyn_cast<lm::SliceOp>(op);
      auto transpose = dyn_cast<lm::TransposeOp>(op);
      if (slice && slice.getStart() != 0 && std::exchange(moved, true))
        break;
      if (transpose && (isAttention(reader) || isExpertProduct(reader)) &&
          !keepsLastDimension(transpose))
        break; // rows are read in vectors
      if (!slice && !transpose && !(converts && isConvertedArgument(op)) &&
          !(isAttention(reader) && isWidenedCache(op)))
        break;
      value = op->getOperand(0);
    }
    required.insert(value);
  };
  for (Operation &op : body) {
    Kind kind = op.hasTrait<OpTrait::IsTerminator>() ? Kind::View : kindOf(&op);
    if (kind == Kind::View)
      required.insert(op.operand_begin(), op.operand_end()); // as it is: no strides outside kernels
    else if (kind == Kind::Heavy)
      for (Value operand : op.getOperands())
        require(&op, operand);
  }
  for (Operation &op : body.without_terminator()) {
    if (becomesView(&op))
      views.insert(&op);
    switch (kindOf(&op)) {
    case Kind::Free:
      // A kernel of its own only where somebody needs it in memory.
      if (required.contains(op.getResult(0)))
        stored.insert(op.getResult(0));
      break;
    case Kind::Pointwise: {
      Value result = op.getResult(0);
      int64_t size = largestSize(result), large = 0;
      for (Value leaf : leavesOf(&op))
        large += largestSize(leaf) >= size;
      if (required.contains(result) || large > 1 || isRounding(&op))
        stored.insert(result);
      break;
    }
    case Kind::View:
    case Kind::RowReduce:
    case Kind::ColumnReduce:
    case Kind::InnerReduce:
    case Kind::Heavy:
      stored.insert(op.result_begin(), op.result_end());
      break;
    }
  }
  for (Operation &op : body.without_terminator())
    if (isa<lm::SkewOp>(op) || kindOf(&op) == Kind::InnerReduce)
      storeRepeated(op.getOperand(0));
}

void Fusion::group() {
  for (Operation &op : function.getBody().front()) {
    if (op.hasTrait<OpTrait::IsTerminator>() || op.getNumResults() == 0 ||
        !isStored(op.getResult(0)))
      continue;
    leaves[&op] = leavesOf(&op);
    for (Value leaf : leaves[&op])
      if (Operation *definition = leaf.getDefiningOp())
        users[definition].push_back(&op);
    if (kindOf(&op) == Kind::View)
      continue;
    auto group = std::make_unique<KernelGroup>();
    group->anchors.insert(&op);
    groupOf[&op] = group.get();
    switch (kindOf(&op)) {
    case Kind::RowReduce:
      group->family = KernelGroup::Row;
      group->space = lm::shapeOf(op.getOperand(0));
      break;
    case Kind::ColumnReduce:
      group->family = KernelGroup::Column;
      group->space = lm::shapeOf(op.getOperand(0));
      break;
    case Kind::Heavy:
      group->family =
          llvm::TypeSwitch<Operation *, KernelGroup::Family>(&op)
              .Case<lm::MatmulOp, lm::BlockMatmulOp, lm::ExpertMatmulOp, lm::ExpertOuterOp,
                    lm::ExpertBlockMatmulOp>([](auto) { return KernelGroup::Matmul; })
              .Case<lm::TopKOp, lm::GroupRowsOp>([](auto) { return KernelGroup::Route; })
              .Case<lm::SampleOp>([](auto) { return KernelGroup::Sample; })
              .Case<lm::BlockGatherOp>([](auto) { return KernelGroup::BlockGather; })
              .Case<lm::QuantizeRowsOp>([](auto) { return KernelGroup::Quantize; })
              .Case<lm::GatherOp>([](auto) { return KernelGroup::Gather; })
              .Case<lm::ScatterAddOp>([](auto) { return KernelGroup::Scatter; })
              .Case<lm::CacheAppendOp>([](auto) { return KernelGroup::CacheAppend; })
              .Default([](auto) { return KernelGroup::Attention; });
      group->space = lm::shapeOf(op.getResult(0));
      break;
    default:
      group->family = KernelGroup::Map;
      group->space = lm::shapeOf(op.getResult(0));
    }
    owned.push_back(std::move(group));
  }
}

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

void Fusion::merge(llvm::function_ref<void(Operation *, std::string)> explain) {
  auto tryMerge = [&](KernelGroup *into, Operation *op) {
    KernelGroup *own = groupOf.lookup(op);
    if (!into || into == own)
      return false;
    std::string reason;
    if (!canJoin(*into, op, reason)) {
      explain(op, "not fused with '" + lm::modelPath(into->anchors.front()->getLoc()) + "' (" +
                      nameOf(into->family).str() + "): " + reason);
      return false;
    }
    if (reachesOutside(into, op) || reachesOutside(own, into->anchors.front())) {
      explain(op, "not fused with '" + lm::modelPath(into->anchors.front()->getLoc()) + "' (" +
                      nameOf(into->family).str() + "): another kernel must run between them");
      return false;
    }
    if (own->family == KernelGroup::Row && into->family == KernelGroup::Map) {
      into->family = KernelGroup::Row;
      into->space = own->space;
    }
    for (Operation *anchor : own->anchors) {
      into->anchors.insert(anchor);
      groupOf[anchor] = into;
    }
    own->anchors.clear();
    return true;
  };
  SmallVector<Operation *> ops;
  for (Operation &op : function.getBody().front())
    if (groupOf.contains(&op))
      ops.push_back(&op);
  // Into the kernel that makes what it reads: the latest producer first.
  for (Operation *op : ops) {
    SmallVector<Operation *> producers;
    for (Value leaf : leaves[op])
      if (Operation *definition = leaf.getDefiningOp(); definition && groupOf.contains(definition))
        producers.push_back(definition);
    llvm::sort(producers, [&](Operation *a, Operation *b) { return position[a] > position[b]; });
    for (Operation *producer : producers)
      if (tryMerge(groupOf.lookup(producer), op) &&
          groupOf.lookup(op)->family == KernelGroup::Matmul)
        break;
  }
  // Column reductions over the same rows read the same memory: side by side.
  llvm::SmallVector<KernelGroup *> columns;
  for (Operation *op : ops) {
    KernelGroup *own = groupOf.lookup(op);
    if (own->family != KernelGroup::Column || own->anchors.front() != op)
      continue;
    bool shared = false;
    for (KernelGroup *other : columns) {
      if (other->anchors.empty() || other == own)
        continue;
      bool reads = llvm::any_of(leaves[op], [&](Value leaf) {
        return largestSize(leaf) > largestSize(op->getResult(0)) &&
               llvm::any_of(other->anchors, [&](Operation *a) { return leaves[a].contains(leaf); });
      });
      if (reads && tryMerge(other, op)) {
        shared = true;
        break;
      }
    }
    if (!shared)
      columns.push_back(own);
  }
}

void Fusion::sort() {
  // Kahn's algorithm over groups and views; among those ready, the one that comes last in the
  // program at the latest first, so that values die early.
  struct Node {
    KernelGroup *group = nullptr;
    SmallVector<Operation *> ops;
    unsigned priority = 0, waits = 0;
    llvm::SetVector<unsigned> successors;
  };
  std::vector<Node> nodes;
  llvm::DenseMap<Operation *, unsigned> nodeOf;
  for (auto &group : owned) {
    if (group->anchors.empty())
      continue;
    Node node;
    node.group = group.get();
    SmallVector<Operation *> sorted(group->anchors.begin(), group->anchors.end());
    llvm::sort(sorted, [&](Operation *a, Operation *b) { return position[a] < position[b]; });
    group->anchors.clear();
    group->anchors.insert(sorted.begin(), sorted.end());
    node.ops = sorted;
    nodes.push_back(node);
  }
  for (Operation &op : function.getBody().front())
    if (!op.hasTrait<OpTrait::IsTerminator>() && kindOf(&op) == Kind::View &&
        isStored(op.getResult(0))) {
      Node node;
      node.ops = {&op};
      nodes.push_back(node);
    }
  for (auto [i, node] : llvm::enumerate(nodes))
    for (Operation *op : node.ops) {
      nodeOf[op] = i;
      node.priority = std::max(node.priority, position[op]);
    }
  for (auto [i, node] : llvm::enumerate(nodes))
    for (Operation *op : node.ops)
      for (Operation *user : users[op])
        if (unsigned to = nodeOf.at(user); to != i)
          node.successors.insert(to);
  for (Node &node : nodes)
    for (unsigned to : node.successors)
      ++nodes[to].waits;
  auto later = [&](unsigned a, unsigned b) { return nodes[a].priority > nodes[b].priority; };
  std::priority_queue<unsigned, std::vector<unsigned>, decltype(later)> ready(later);
  for (unsigned i = 0; i < nodes.size(); ++i)
    if (!nodes[i].waits)
      ready.push(i);
  size_t done = 0;
  while (!ready.empty()) {
    Node &node = nodes[ready.top()];
    ready.pop();
    ++done;
    if (node.group)
      order.push_back(node.group);
    for (unsigned to : node.successors)
      if (--nodes[to].waits == 0)
        ready.push(to);
  }
  assert(done == nodes.size() && "fusion made a cycle");
  (void)done;
}

} // namespace lmc
