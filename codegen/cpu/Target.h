// The processor that kernels are made for: instruction set, vector registers, cache sizes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace llvm {
class TargetMachine;
}

namespace lmc::cpu {

struct Target {
  std::string triple;   ///< "x86_64-pc-linux-gnu"
  std::string cpu;      ///< LLVM's name, "znver3"
  std::string features; ///< LLVM's feature string, sorted: "+avx,+avx2,..."
  unsigned vectorBits = 128;
  unsigned vectorRegisters = 16;
  /// What multiplies bytes: VNNI, multiply-add of pairs (SSSE3 and later), NEON's dot product, nothing.
  enum class ByteUnit { None, MultiplyAdd, Vnni, Neon };
  ByteUnit byteUnit = ByteUnit::None;
  bool fma = false;            ///< fused multiply-add is one instruction
  bool halfConversion = false; ///< f16 to f32 is one instruction
  bool maskedMemory = false;   ///< masked loads and stores of 32-bit lanes are one instruction
  int64_t l1Bytes = 32 << 10;  ///< data cache of one core
  int64_t l2Bytes = 512 << 10;
  int64_t l3Bytes = 8 << 20; ///< shared by all cores

  /// The processor this program runs on.
  static Target host();

  /// "host", an x86-64 level ("x86-64-v3"), an LLVM CPU name ("znver3", "cascadelake"), or
  /// "aarch64". Cache sizes are the host's where the architecture is. Throws Error for other names.
  static Target named(std::string_view name);

  /// Lanes of one vector register for elements of so many bits: 8 for AVX2 and f32.
  unsigned lanes(unsigned elementBits = 32) const { return vectorBits / elementBits; }

  /// The host can run this target's code.
  bool runsOnHost() const;

  /// One line that names everything code generation depends on; part of every cache key.
  std::string canonical() const;

  /// A fresh machine (not thread-safe: one for each thread), position independent, no fast-math.
  std::unique_ptr<llvm::TargetMachine> createMachine() const;
};

} // namespace lmc::cpu
