#include "codegen/cpu/Target.h"

#include "runtime/Error.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

#include <algorithm>
#include <mutex>
#include <unistd.h>
#include <vector>

namespace lmc::cpu {
namespace {

void initializeLLVM() {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
  });
}

/// Feature bits a CPU name implies are only known to the subtarget, so registers, vector width and
/// FMA are asked there.
void readVectorUnit(Target &target) {
  std::unique_ptr<llvm::TargetMachine> machine = target.createMachine();
  const llvm::MCSubtargetInfo &info = *machine->getMCSubtargetInfo();
  if (llvm::Triple(target.triple).isAArch64()) {
    target.vectorBits = 128;
    target.vectorRegisters = 32;
    target.fma = target.halfConversion = true;
    target.maskedMemory = false;
    if (info.checkFeatures("+dotprod"))
      target.byteUnit = Target::ByteUnit::Neon;
    return;
  }
  bool avx512 = info.checkFeatures("+avx512f") && info.checkFeatures("+avx512vl") &&
                info.checkFeatures("+avx512dq") && info.checkFeatures("+avx512bw");
  bool avx = info.checkFeatures("+avx2");
  target.vectorBits = avx512 ? 512 : avx ? 256 : 128;
  target.vectorRegisters = avx512 ? 32 : 16;
  target.fma = info.checkFeatures("+fma");
  target.halfConversion = info.checkFeatures("+f16c");
  bool vnni = (info.checkFeatures("+avx512vnni") && avx512) ||
              (info.checkFeatures("+avxvnni") && avx && !avx512);
  if (vnni)
    target.byteUnit = Target::ByteUnit::Vnni;
  else if (info.checkFeatures("+ssse3"))
    target.byteUnit = Target::ByteUnit::MultiplyAdd;
  target.maskedMemory = avx;
}

void readCaches(Target &target) {
  auto ask = [](int name, int64_t otherwise) {
    long bytes = sysconf(name);
    return bytes > 0 ? static_cast<int64_t>(bytes) : otherwise;
  };
  target.l1Bytes = ask(_SC_LEVEL1_DCACHE_SIZE, target.l1Bytes);
  target.l2Bytes = ask(_SC_LEVEL2_CACHE_SIZE, target.l2Bytes);
  target.l3Bytes = ask(_SC_LEVEL3_CACHE_SIZE, target.l3Bytes);
}

std::vector<std::string> hostFeatures() {
  std::vector<std::string> features;
  for (const auto &feature : llvm::sys::getHostCPUFeatures())
    features.push_back((feature.getValue() ? "+" : "-") + feature.getKey().str());
  std::sort(features.begin(), features.end());
  return features;
}

} // namespace

Target Target::host() {
  // Detecting costs milliseconds and never changes while a process runs.
  static const Target detected = [] {
    initializeLLVM();
    Target target;
    target.triple = llvm::sys::getProcessTriple();
    target.cpu = llvm::sys::getHostCPUName().str();
    target.features = llvm::join(hostFeatures(), ",");
    readVectorUnit(target);
    readCaches(target);
    return target;
  }();
  return detected;
}

Target Target::named(std::string_view name) {
  initializeLLVM();
  if (name == "host")
    return host();
  Target target;
  const llvm::Triple hostTriple(llvm::sys::getProcessTriple());
  if (name == "aarch64") {
    target.triple = "aarch64-unknown-linux-gnu";
    target.cpu = "generic";
  } else {
    target.triple = hostTriple.isX86() ? hostTriple.str() : "x86_64-unknown-linux-gnu";
    target.cpu = std::string(name);
  }
  std::string message;
  const llvm::Target *backend = llvm::TargetRegistry::lookupTarget(target.triple, message);
  if (!backend)
    fail("target '{}': {}", name, message);
  std::unique_ptr<llvm::MCSubtargetInfo> info(
      backend->createMCSubtargetInfo(target.triple, "", ""));
  if (!info->isCPUStringValid(target.cpu))
    fail("unknown CPU target '{}'; expected host, x86-64-v2, x86-64-v3, x86-64-v4, aarch64 or an "
         "LLVM "
         "CPU name",
         name);
  readVectorUnit(target);
  if (llvm::Triple(target.triple).getArch() == hostTriple.getArch())
    readCaches(target);
  return target;
}

bool Target::runsOnHost() const {
  const Target &here = host();
  if (llvm::Triple(triple).getArch() != llvm::Triple(here.triple).getArch())
    return false;
  if (cpu == here.cpu && features == here.features)
    return true;
  // Every feature this target has must be one the host has.
  std::unique_ptr<llvm::TargetMachine> mine = createMachine(), theirs = here.createMachine();
  const llvm::MCSubtargetInfo &info = *mine->getMCSubtargetInfo();
  for (const llvm::SubtargetFeatureKV &feature : info.getAllProcessorFeatures()) {
    // Tuning flags are features too; only what changes the instructions used matters here.
    if (llvm::StringRef(feature.Key).starts_with("avx") || llvm::StringRef(feature.Key) == "fma" ||
        llvm::StringRef(feature.Key) == "f16c" || llvm::StringRef(feature.Key).starts_with("bmi") ||
        llvm::StringRef(feature.Key).starts_with("amx") ||
        llvm::StringRef(feature.Key).starts_with("sse"))
      if (info.getFeatureBits().test(feature.Value) &&
          !theirs->getMCSubtargetInfo()->getFeatureBits().test(feature.Value))
        return false;
  }
  return true;
}

std::string Target::canonical() const {
  return fmt::format("cpu:{}:{}:{}:v{}:r{}:l1={}:l2={}:l3={}", triple, cpu, features, vectorBits,
                     vectorRegisters, l1Bytes, l2Bytes, l3Bytes);
}

std::unique_ptr<llvm::TargetMachine> Target::createMachine() const {
  initializeLLVM();
  std::string message;
  const llvm::Target *backend = llvm::TargetRegistry::lookupTarget(triple, message);
  if (!backend)
    fail("no code generator for '{}': {}", triple, message);
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Strict; // only fma ops fuse
  options.UnsafeFPMath = false;
  return std::unique_ptr<llvm::TargetMachine>(
      backend->createTargetMachine(triple, cpu, features, options, llvm::Reloc::PIC_,
                                   llvm::CodeModel::Small, llvm::CodeGenOptLevel::Default));
}

} // namespace lmc::cpu
