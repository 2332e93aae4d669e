// Why:    keys and values in f16 take half the memory of a sequence, and half of what a decoded token
//         reads of it; in q8_0 0.53 of that.
// Before: @decode(%cache: tensor<1x512x4x64xf32> {lm.role = "cache"}) {
//           %keys = lm.cache_append %cache, %k, %past    lm.attention %q, %keys, ... }
// After:  @decode(%cache: tensor<1x512x4x64xf16> {lm.role = "cache"}) {
//           %k16 = lm.convert %k                         %appended = lm.cache_append %cache, %k16, %past
//           %keys = lm.convert %appended                 lm.attention %q, %keys, ...
//         Attention widens as it reads.
//     or  @decode(%cache: tensor<1x512x4x68xi8> {lm.role = "cache"}) {
//           %keys = lm.cache_append %cache, %k, %past    lm.attention %q, %keys, ...
//         Both know rows of bytes (ir/CacheRows.h).
// Needs:  primitives; f32 caches that are only appended to, and for q8_0 only read by attention.
//         Leaves: primitives. Numerics: keys and values are rounded. To f16, to nearest even: beyond
//         65504 they are infinite. To q8_0: to a 127th of the largest of 32 neighbours.
// Order:  before fusion. bf16 caches are lm-round-products' business.
#include "passes/Passes.h"

#include "ir/CacheRows.h"
#include "ir/ProgramAttributes.h"
#include "passes/Retype.h"

using namespace mlir;

namespace lmc {
#define GEN_PASS_DEF_NARROWCACHES
#include "passes/Passes.h.inc"

namespace {

void toHalves(lm::CacheAppendOp append) {
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

LogicalResult toBytes(lm::CacheAppendOp append) {
  for (Operation *user : append->getUsers())
    if (!isa<lm::AttentionOp>(user) && !user->hasTrait<OpTrait::IsTerminator>())
      return emitError(append.getLoc()) << "a cache in q8_0 is for lm.attention, and "
                                        << user->getName() << " reads it; cache f16 or f32";
  lm::Shape rows = lm::shapeOf(append.getCache());
  rows.back() = lm::cacheRowBytes(rows.back().size);
  Type byte = IntegerType::get(append.getContext(), 8);
  retypeCache(append, lm::tensorType(rows, byte), append.getUpdate());
  return success();
}

struct NarrowCaches : impl::NarrowCachesBase<NarrowCaches> {
  using NarrowCachesBase::NarrowCachesBase;

  void runOnOperation() override {
    func::FuncOp function = getOperation();
    if (format != "f16" && format != "q8_0") {
      function.emitError() << "unknown format of caches '" << format << "': expected f16 or q8_0";
      return signalPassFailure();
    }
    for (BlockArgument cache : function.getArguments()) {
      if (!hasRole(function, cache.getArgNumber(), "cache") || !lm::elementOf(cache).isF32())
        continue;
      auto append = cache.hasOneUse() ? dyn_cast<lm::CacheAppendOp>(*cache.user_begin())
                                      : lm::CacheAppendOp();
      if (!append || append.getCache() != cache) {
        emitError(cache.getLoc()) << "a cache in " << format
                                  << " must be read through one lm.cache_append";
        return signalPassFailure();
      }
      if (format == "f16")
        toHalves(append);
      else if (failed(toBytes(append)))
        return signalPassFailure();
    }
    updateSignature(function);
  }
};

} // namespace
} // namespace lmc
