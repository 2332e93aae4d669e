// Why:    a launch costs a GPU microseconds, whatever it computes: AdamW and the norm of the gradients
//         are a launch for each parameter, hundreds of them, most over some thousand elements.
// Before: %a' = lm.kernel "map"(%a, %s) { f }   %b' = lm.kernel "map"(%b, %s) { f }
// After:  %a', %b' = lm.kernel "map"(%s, %a, %b) {segments = ...} { f; f }   (ir/Segments.h)
// Needs:  kernels. Leaves: kernels. Numerics: maps exact; rows are summed as the longest one is.
// Order:  after fusion, on GPUs; before lm-recompute and lm-plan-memory, which count with it.
//
// What is joined stands in a run: kernels one after the other that all could be joined. In a run,
// order is free but for what reads what, so kernels of a run that wait for equally many others are
// joined, family by family.
#include "passes/Passes.h"

#include "ir/Dialect.h"
#include "ir/ProgramAttributes.h"
#include "ir/Segments.h"
#include "passes/Views.h"

#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/MapVector.h"

#include <map>

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_JOINKERNELS
#include "passes/Passes.h.inc"

namespace {

/// Fewer do not pay for a kernel of their own, which has to be compiled.
constexpr size_t kFewest = 4;
/// Bodies of one kernel: AdamW has two, with weight decay and without.
constexpr size_t kMostBodies = 4;
/// What a run makes for its own later kernels lives longer once they are joined: no more than this.
constexpr int64_t kMostKept = 16 << 20;

struct Member {
  lm::KernelOp kernel;
  std::string body; ///< equal where they differ in extents alone
  unsigned level = 0;
};

struct JoinKernels : impl::JoinKernelsBase<JoinKernels> {
  using JoinKernelsBase::JoinKernelsBase;

  void runOnOperation() override {
    SmallVector<Operation *> run;
    SmallVector<Member> members;
    auto end = [&] {
      if (members.size() >= kFewest)
        join(run, members);
      run.clear();
      members.clear();
    };
    for (Operation &op : llvm::make_early_inc_range(getOperation().getBody().front())) {
      auto kernel = dyn_cast<lm::KernelOp>(op);
      auto without = kernel && !kernel.getSegments() ? bodyOf(kernel) : std::nullopt;
      if (without)
        members.push_back({kernel, std::move(without->text)});
      if (without || isView(&op))
        run.push_back(&op);
      else
        end();
    }
    end();
  }

private:
  static std::optional<WithoutExtents> bodyOf(lm::KernelOp kernel) {
    Block &body = kernel.getBody().front();
    return withoutExtents(kernel.getFamily(), body.getArguments(),
                          SmallVector<Value>(body.getTerminator()->getOperands()));
  }

  /// Gives each member the number of joined kernels that come before it in its run.
  void setLevels(MutableArrayRef<Member> members) {
    llvm::DenseMap<Operation *, unsigned> levels;
    llvm::DenseMap<Value, unsigned> readUntil; // argument -> level behind its last reader
    llvm::DenseMap<Value, unsigned> writtenAt; // argument -> level of what updates it
    for (Member &member : members) {
      unsigned &level = member.level;
      for (Value input : member.kernel.getInputs()) {
        Value from = viewedValue(input);
        if (Operation *made = from.getDefiningOp(); made && levels.contains(made))
          level = std::max(level, levels.at(made) + 1);
        if (auto written = writtenAt.find(from); written != writtenAt.end())
          level = std::max(level, written->second + 1);
      }
      SmallVector<Value> targets = updatedBy(member.kernel);
      for (Value target : targets) // its own reading is in place
        if (auto read = readUntil.find(target); read != readUntil.end())
          level = std::max(level, read->second);
      levels[member.kernel] = level;
      for (Value input : member.kernel.getInputs()) {
        unsigned &until = readUntil[viewedValue(input)];
        until = std::max(until, level + 1);
      }
      for (Value target : targets)
        writtenAt[target] = level;
    }
  }

  /// The arguments whose new contents a kernel makes.
  SmallVector<Value> updatedBy(lm::KernelOp kernel) {
    func::FuncOp function = getOperation();
    SmallVector<Value> targets;
    for (Value output : kernel.getOutputs())
      for (OpOperand &use : output.getUses())
        if (use.getOwner()->hasTrait<OpTrait::IsTerminator>())
          if (auto updates =
                  function.getResultAttrOfType<IntegerAttr>(use.getOperandNumber(), kUpdates))
            targets.push_back(function.getArgument(updates.getInt()));
    return targets;
  }

  void join(ArrayRef<Operation *> run, MutableArrayRef<Member> members) {
    setLevels(members);
    if (keptBytes(members) > kMostKept)
      return;
    std::map<unsigned, SmallVector<Member *>> byLevel;
    for (Member &member : members)
      byLevel[member.level].push_back(&member);
    bool any = false;
    std::vector<SmallVector<SmallVector<Member *>>> groups; // by level
    for (auto &[level, all] : byLevel) {
      groups.push_back(groupsOf(all));
      any |= llvm::any_of(groups.back(), [](auto &group) { return group.size() >= kFewest; });
    }
    if (!any)
      return;
    // All of the run is built anew in front of what follows it: views as soon as what they show is there.
    Operation *after = run.back()->getNextNode();
    OpBuilder builder(after);
    SmallVector<Operation *> views;
    for (Operation *op : run)
      if (isView(op))
        views.push_back(op);
    llvm::DenseSet<Operation *> waiting(run.begin(), run.end());
    auto placeViews = [&] {
      for (Operation *&view : views) {
        bool ready = view && llvm::none_of(view->getOperands(), [&](Value operand) {
                       return operand.getDefiningOp() && waiting.contains(operand.getDefiningOp());
                     });
        if (!ready)
          continue;
        view->moveBefore(after);
        waiting.erase(view);
        view = nullptr;
      }
    };
    placeViews();
    for (auto &level : groups) {
      for (SmallVector<Member *> &group : level) {
        for (Member *member : group)
          waiting.erase(member->kernel);
        if (group.size() >= kFewest)
          build(builder, group);
        else
          for (Member *member : group)
            member->kernel->moveBefore(after);
      }
      placeViews();
    }
  }

  /// What members make for later members of their run alone.
  int64_t keptBytes(MutableArrayRef<Member> members) {
    llvm::DenseSet<Operation *> own;
    for (Member &member : members)
      own.insert(member.kernel);
    int64_t bytes = 0;
    for (Member &member : members)
      for (Value output : member.kernel.getOutputs())
        if (llvm::any_of(output.getUsers(),
                         [&](Operation *user) { return own.contains(user) || isView(user); }))
          bytes += alignedBytes(largestBytes(output.getType(), {}));
    return bytes;
  }

  /// Members of one level and family, as many as a launch takes. In a group those of one body follow
  /// one another.
  SmallVector<SmallVector<Member *>> groupsOf(ArrayRef<Member *> members) {
    SmallVector<SmallVector<Member *>> groups;
    for (StringRef family : {"map", "row"}) {
      llvm::MapVector<StringRef, SmallVector<Member *>> bodies;
      for (Member *member : members)
        if (member->kernel.getFamily() == family)
          bodies[member->body].push_back(member);
      SmallVector<Member *> group;
      size_t numBodies = 0;
      int64_t addresses = 0;
      auto end = [&] {
        if (!group.empty())
          groups.push_back(std::exchange(group, {}));
        numBodies = 0;
        addresses = 0;
      };
      for (auto &[body, same] : bodies) {
        if (numBodies == kMostBodies)
          end();
        ++numBodies;
        for (Member *member : same) {
          auto more = static_cast<int64_t>(member->kernel.getInputs().size() +
                                           member->kernel.getOutputs().size());
          if (8 * (addresses + more) > parameterBytes) {
            end();
            numBodies = 1;
          }
          group.push_back(member);
          addresses += more;
        }
      }
      end();
    }
    return groups;
  }

  /// The joined kernel in place of its members.
  void build(OpBuilder &builder, ArrayRef<Member *> group) {
    SmallVector<SmallVector<Member *>> bodies;
    for (Member *member : group) {
      if (bodies.empty() || bodies.back().front()->body != member->body)
        bodies.emplace_back();
      bodies.back().push_back(member);
    }
    SmallVector<Segments::Body> layout;
    SmallVector<Value> inputs, outputs;
    SmallVector<SmallVector<unsigned>>
        numbers; // by member: those of its inputs in the joined kernel
    for (ArrayRef<Member *> same : bodies) {
      lm::KernelOp first = same.front()->kernel;
      SmallVector<unsigned> shared, own;
      for (unsigned i = 0; i < first.getInputs().size(); ++i) {
        bool isShared =
            lm::shapeOf(first.getInputs()[i]).empty() && llvm::all_of(same, [&](Member *member) {
              return member->kernel.getInputs()[i] == first.getInputs()[i];
            });
        (isShared ? shared : own).push_back(i);
      }
      unsigned start = inputs.size();
      for (unsigned i : shared)
        inputs.push_back(first.getInputs()[i]);
      for (Member *member : same) {
        SmallVector<unsigned> &number = numbers.emplace_back(first.getInputs().size());
        for (auto [at, i] : llvm::enumerate(shared))
          number[i] = start + at;
        for (unsigned i : own) {
          number[i] = inputs.size();
          inputs.push_back(member->kernel.getInputs()[i]);
        }
        llvm::append_range(outputs, member->kernel.getOutputs());
      }
      layout.push_back({static_cast<int64_t>(same.size()), static_cast<int64_t>(shared.size()),
                        static_cast<int64_t>(own.size()),
                        static_cast<int64_t>(first.getOutputs().size())});
    }
    lm::KernelOp first = group.front()->kernel;
    std::string path =
        lm::modelPath(first.getLoc()) + " and " + std::to_string(group.size() - 1) + " more";
    auto joined = builder.create<lm::KernelOp>(
        NameLoc::get(builder.getStringAttr(path)), TypeRange(ValueRange(outputs)), inputs,
        first.getFamily(), Segments::attribute(&getContext(), layout));
    Block &block = joined.getBody().emplaceBlock();
    for (Value input : inputs)
      block.addArgument(input.getType(), input.getLoc());
    OpBuilder inner = OpBuilder::atBlockEnd(&block);
    SmallVector<Value> stored;
    for (auto [member, number] : llvm::zip_equal(group, numbers)) {
      IRMapping mapping;
      Block &body = member->kernel.getBody().front();
      for (BlockArgument argument : body.getArguments())
        mapping.map(argument, block.getArgument(number[argument.getArgNumber()]));
      for (Operation &op : body.without_terminator())
        inner.clone(op, mapping);
      for (Value value : body.getTerminator()->getOperands())
        stored.push_back(mapping.lookup(value));
    }
    inner.create<lm::YieldOp>(joined.getLoc(), stored);
    for (auto [old, made] : llvm::zip_equal(outputs, joined.getOutputs()))
      old.replaceAllUsesWith(made);
    if (explain) {
      auto remark = joined.emitRemark();
      remark << "kernel '" << path << "' (" << first.getFamily() << ") joins " << group.size()
             << " launches of " << bodies.size() << (bodies.size() == 1 ? " body" : " bodies");
    }
    for (Member *member : group)
      member->kernel.erase();
  }
};

} // namespace
} // namespace lmc
