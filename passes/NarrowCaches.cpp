// Why:    keys and values in f16 take half the memory of a sequence, and half of what a decoded token
//         reads of it.
// Before: @decode(%cache: tensor<1x512x4x8xf32> {lm.role = "cache"}) {
//           %keys = lm.cache_append %cache, %k, %past    lm.attention %q, %keys, ... }
// After:  @decode(%cache: tensor<1x512x4x8xf16> {lm.role = "cache"}) {
//           %k16 = lm.convert %k                         %appended = lm.cache_append %cache, %k16, %past
//           %keys = lm.convert %appended                 lm.attention %q, %keys, ...
//         Attention widens as it reads.
// Needs:  primitives; f32 caches that are only appended to. Leaves: primitives. Numerics: keys and values
//         are rounded to f16, to nearest even; beyond 65504 they are infinite.
// Order:  before fusion. bf16 caches are lm-round-products' business.
#include "passes/Passes.h"

#include "ir/ProgramAttributes.h"
#include "passes/Retype.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_NARROWCACHES
#include "passes/Passes.h.inc"

namespace {

void narrow(lm::CacheAppendOp append) {
  OpBuilder b(append);
  Type half = b.getF16Type(), wide = append.getY().getType();
  Value update = append.getUpdate();
  auto rounded =
      b.create<lm::ConvertOp>(append.getLoc(), withElement(update.getType(), half), update);
  retypeCache(append, withElement(wide, half), rounded);
  b.setInsertionPointAfter(append);
  auto widened = b.create<lm::ConvertOp>(append.getLoc(), wide, append.getY());
  append.getY().replaceUsesWithIf(widened, [&](OpOperand &use) {
    return use.getOwner() != widened && !use.getOwner()->hasTrait<OpTrait::IsTerminator>();
  });
}

struct NarrowCaches : impl::NarrowCachesBase<NarrowCaches> {
  void runOnOperation() override {
    func::FuncOp function = getOperation();
    for (BlockArgument cache : function.getArguments()) {
      if (!hasRole(function, cache.getArgNumber(), "cache") || !lm::elementOf(cache).isF32())
        continue;
      auto append = cache.hasOneUse() ? dyn_cast<lm::CacheAppendOp>(*cache.user_begin())
                                      : lm::CacheAppendOp();
      if (!append || append.getCache() != cache) {
        emitError(cache.getLoc()) << "a cache in f16 must be read through one lm.cache_append";
        return signalPassFailure();
      }
      narrow(append);
    }
    updateSignature(function);
  }
};

} // namespace
} // namespace lmc
