// Writes kernel bodies: a thin layer over upstream MLIR (scf, arith, math, vector, llvm pointers).
//
// Emit adds three things to OpBuilder: i64 index arithmetic that folds constants, loads and stores
// of elements in their storage type with an optional mask, and loops as C++ lambdas. Anything else
// (arith, math and vector ops on the values) is built through builder() directly. There is no
// memref: memory is !llvm.ptr plus an element index, indices are i64, and every scalar or vector of
// floating point numbers in registers has its computation type (bf16 and f16 storage becomes f32).
//
//   emit.beginKernel("scale", loc);
//   mlir::Value x = emit.buffer(0), y = emit.buffer(1), n = emit.dim(0);
//   emit.vectorLoop(emit.begin(), emit.end(), lanes, [&](mlir::Value i, Lanes l) {
//     emit.store(f32, emit.mulf(emit.load(f32, x, i, l), emit.f32(2, l.width)), y, i, l);
//   });
//   emit.endKernel();
#pragma once

#include "codegen/cpu/Target.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinOps.h"

#include <cstdint>
#include <functional>
#include <optional>

namespace lmc::cpu {

/// How many neighbouring elements one value holds. width 1 is a scalar, never vector<1xT>.
struct Lanes {
  unsigned width = 1;
  mlir::Value mask; ///< vector<width x i1>; null: every lane counts. Only for width > 1.

  Lanes(unsigned width = 1, mlir::Value mask = {}) : width(width), mask(mask) {}
};

/// Loads the dialects that Emit and the lowering need into a context.
void loadCodegenDialects(mlir::MLIRContext &context);

class Emit {
public:
  using Value = mlir::Value;
  using Values = llvm::SmallVector<mlir::Value>;
  using Body = llvm::function_ref<void(Value iv)>;
  using CarriedBody = llvm::function_ref<Values(Value iv, mlir::ValueRange carried)>;

  /// Kernels are appended to `module`.
  Emit(mlir::ModuleOp module, const Target &target);

  const Target &target() const { return machine; }
  mlir::OpBuilder &builder() { return b; }
  mlir::Location loc() const { return where; }
  void setLoc(mlir::Location location) { where = location; }

  // --- the kernel (runtime/KernelAbi.h)
  void beginKernel(llvm::StringRef symbol, mlir::Location location);
  void endKernel();
  Value
  buffer(unsigned index);    ///< pointer of operand `index`, 64-byte aligned; read once, at entry
  Value dim(unsigned index); ///< i64 extent of symbolic dimension `index`; read once, at entry
  Value begin() const { return itemBegin; }
  Value end() const { return itemEnd; }
  Value scratch(int64_t offsetBytes = 0); ///< this worker's scratch memory

  /// Pointer to constant elements in the code object, row-major.
  Value table(mlir::DenseElementsAttr values);

  // --- types
  mlir::Type f32Type() { return b.getF32Type(); }
  mlir::Type i64Type() { return b.getI64Type(); }
  static mlir::Type vectorOf(mlir::Type element, unsigned width); ///< element itself for width 1
  static mlir::Type computeType(mlir::Type storage); ///< bf16, f16 -> f32; else the same
  static unsigned storageBytes(mlir::Type storage);  ///< i1 takes one byte
  unsigned lanesOf(mlir::Type computeType) const;    ///< of one vector register
  static unsigned widthOf(Value value);              ///< 1 for scalars

  // --- constants
  Value i64(int64_t value);
  Value i1(bool value);
  Value constant(mlir::Type element, double value,
                 unsigned width = 1); ///< float or integer element
  Value f32(double value, unsigned width = 1) { return constant(f32Type(), value, width); }
  static std::optional<int64_t> constantOf(Value value); ///< of an integer scalar

  // --- i64 arithmetic of non-negative numbers, folded where operands are constant
  Value add(Value x, Value y);
  Value sub(Value x, Value y);
  Value mul(Value x, Value y);
  Value div(Value x, Value y); ///< rounds down
  Value rem(Value x, Value y);
  Value ceilDiv(Value x, Value y);
  Value min(Value x, Value y);
  Value max(Value x, Value y);
  Value less(Value x, Value y);  ///< i1, signed
  Value equal(Value x, Value y); ///< i1
  Value add(Value x, int64_t y) { return add(x, i64(y)); }
  Value mul(Value x, int64_t y) { return mul(x, i64(y)); }

  // --- floating point on scalars or vectors (no contraction: fma() is the only fused operation)
  Value addf(Value x, Value y);
  Value subf(Value x, Value y);
  Value mulf(Value x, Value y);
  Value divf(Value x, Value y);
  Value maxf(Value x, Value y); ///< NaN if either is NaN
  Value minf(Value x, Value y);
  Value fma(Value x, Value y, Value z); ///< x * y + z, rounded once
  Value select(Value condition, Value x, Value y);

  // --- vectors
  Value splat(Value scalar, unsigned width);
  Value firstLanes(Value active, unsigned width); ///< mask: lane < active (i64, may exceed width)
  Value iota(mlir::Type integer, unsigned width); ///< 0, 1, 2, ...
  Value shuffle(Value x, Value y, llvm::ArrayRef<int64_t> lanes); ///< lanes index the concatenation
  Value lane(Value vector, int64_t index);                        ///< scalar
  Value insertLane(Value scalar, Value vector, int64_t index);
  /// Combines all lanes in a fixed tree (upper half onto lower half, again and again); width is a
  /// power of two.
  Value reduce(Value vector, llvm::function_ref<Value(Value, Value)> combine);
  Value reduceAdd(Value vector);
  Value reduceMax(Value vector);
  /// A square of as many vectors as a vector has lanes: rows become columns, in registers.
  Values transpose(Values rows);

  // --- memory; index counts elements of `storage`
  /// Elements index .. index + width - 1 in their computation type. Masked-off lanes are zero and
  /// their memory is not touched.
  Value load(mlir::Type storage, Value pointer, Value index, Lanes lanes = {});
  void store(mlir::Type storage, Value value, Value pointer, Value index, Lanes lanes = {});
  /// One element to all lanes.
  Value loadSplat(mlir::Type storage, Value pointer, Value index, unsigned width);
  /// Elements index, index + stride, ...: one scalar load a lane. Lanes masked off are zero.
  Value loadStrided(mlir::Type storage, Value pointer, Value index, Value stride, Lanes lanes);
  /// The value that storing and loading again would give.
  Value rounded(mlir::Type storage, Value value);
  Value at(mlir::Type storage, Value pointer, Value index); ///< pointer to an element
  Value offset(Value pointer, Value bytes);                 ///< pointer plus bytes
  /// locality 0 (use once) .. 3 (keep in every cache).
  void prefetch(mlir::Type storage, Value pointer, Value index, bool forWrite = false,
                int locality = 3);

  // --- control; loops of at most one iteration with constant bounds leave no loop
  void loop(Value lower, Value upper, Value step, Body body);
  void loop(Value lower, Value upper, int64_t step, Body body) {
    loop(lower, upper, i64(step), body);
  }
  Values loopCarried(Value lower, Value upper, Value step, mlir::ValueRange inits,
                     CarriedBody body);
  /// Full vectors, then one masked rest (none where constant bounds leave no rest; scalar for width
  /// 1).
  void vectorLoop(Value lower, Value upper, unsigned width,
                  llvm::function_ref<void(Value iv, Lanes lanes)> body);
  void ifThen(Value condition, llvm::function_ref<void()> body);
  void ifElse(Value condition, llvm::function_ref<void()> thenBody,
              llvm::function_ref<void()> elseBody);
  /// The values of the branch taken.
  Values choose(Value condition, llvm::function_ref<Values()> thenBody,
                llvm::function_ref<Values()> elseBody);

private:
  Value widenHalf(Value raw);
  Value narrowToHalf(Value value);
  Value widen(mlir::Type storage, Value raw);    // from registers of the storage type
  Value narrow(mlir::Type storage, Value value); // the other way, round to nearest even
  mlir::Type rawType(mlir::Type storage, unsigned width);
  Value atEntry(llvm::function_ref<Value()> make);

  const Target machine;
  mlir::ModuleOp module;
  mlir::OpBuilder b;
  mlir::Location where;
  mlir::LLVM::LLVMFuncOp kernel;
  Value buffersArg, dimsArg, itemBegin, itemEnd, scratchArg;
  mlir::Operation *entryEnd = nullptr; // entry-block values go before it
  llvm::SmallVector<Value> bufferValues, dimValues;
};

} // namespace lmc::cpu
