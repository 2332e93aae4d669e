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
