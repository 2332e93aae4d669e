// What lmc bench can time: one list of kernels and models, each with a check of its result.
#pragma once

#include "codegen/Compiler.h"
#include "frontend/ModelConfig.h"
#include "runtime/Session.h"

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace lmc::bench {

/// What cases run on.
struct Machine {
  int threads = 1;
  std::string gpu;                         ///< "sm_90a"; empty: the CPU
  Products products = Products::Generated; ///< of a GPU
};

/// Another program's way to compute the same thing, run beside ours.
struct Peer {
  std::string name;
  /// Once; returns the seconds that the work itself took.
  std::function<double()> run;
};

/// Which peers to look for.
struct PeerOptions {
  std::vector<std::string> names; ///< of kPeers
  Machine machine;
  std::string python = "python3"; ///< of torch and torch-compile
};

/// openblas, blis and onednn for products on the CPU; torch for products on a GPU, attention and
/// training; torch-compile for attention and training.
inline constexpr const char *kPeers[] = {"openblas", "blis", "onednn", "torch", "torch-compile"};

/// Seconds of one call.
double secondsOf(const std::function<void()> &work);

/// One case, compiled and with its data in memory.
class Workload {
public:
  virtual ~Workload() = default;

  /// Throws Error where the result differs from what it is compared with; returns what that was
  /// ("float64, 64 elements").
  virtual std::string check() = 0;
  virtual void run() = 0;
  /// Runs once; the seconds it took.
  virtual double time() {
    return secondsOf([this] { run(); });
  }
  /// What run() runs, for a profile of its launches; null where it launches none.
  virtual Session *session() { return nullptr; }
  virtual const char *program() const { return "f"; }
  /// Of one run: operations that the definition asks for (a multiplication and an addition are two).
  double flops = 0;
  /// Of one run: bytes that must be read or written at least once.
  double bytes = 0;
  /// Of one run, where it means something.
  double tokens = 0;
  /// Memory of the session.
  double arenaBytes = 0;
  /// Those of the wanted peers that know this work and are installed.
  virtual std::vector<Peer> peers(const PeerOptions &) { return {}; }
};

/// Which roof a case is near, if any.
enum class Bound { Compute, Memory, None };

struct Case {
  std::string name;  ///< "product.nn", "train.gpt2-124m": the kind, then what
  std::string shape; ///< "M=512 N=3072 K=768"
  Bound bound;
  std::function<std::unique_ptr<Workload>()> make;
};

/// A GPU has cases of its own: bf16, and shapes that its caches do not hold.
void addProducts(std::vector<Case> &cases, const Machine &on); ///< ProductCases.cpp
/// KernelCases.cpp: attention, rows, maps, columns
void addKernels(std::vector<Case> &cases, const Machine &on);
void addModels(std::vector<Case> &cases, const Machine &on); ///< ModelCases.cpp: training, decode
void addTokenizers(std::vector<Case> &cases);                ///< TokenizerCases.cpp

/// A model that somebody has, compiled for inference.
struct BenchedModel {
  std::string name;
  ModelConfig config;
  std::shared_ptr<const Executable> executable; ///< with @prefill and @decode
  int64_t tokens = 512; ///< of the prompt, and before a token; at most the context - 1
  bool rounds = false;  ///< between operations, to bytes or bf16: programs differ by that
};
/// ExecutableCases.cpp: a prompt, and a token behind 16 others and behind `tokens`
void addModel(std::vector<Case> &cases, const BenchedModel &model, const Machine &on);

} // namespace lmc::bench
