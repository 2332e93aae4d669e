// Runs an executable: takes the arena once, at the size the plan printed, and walks flat launch
// lists.
//
//   arena = state region | slots x slot region (KV caches) | transient region | workers x scratch
//
// On a GPU the arena lies in its memory, and the workspace is that of libraries.
//
// Links neither MLIR nor LLVM. Not thread-safe: one caller at a time (the worker team is inside).
#pragma once

#include "runtime/Executable.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace lmc {

struct CublasLt;
struct CudaDriver;

struct SessionOptions {
  int threads = 0;                    ///< 0: LMC_THREADS, else all cores this process may use
  int slots = 1;                      ///< sequences whose KV caches are kept at the same time
  const CudaDriver *cuda = nullptr;   ///< for executables of a GPU; null: CudaDriver::system()
  const CublasLt *cublasLt = nullptr; ///< likewise; null: CublasLt::system()
};

/// The first output that holds a NaN or an infinity, in launch order.
struct NonFinite {
  std::string op;   ///< "lm.matmul"
  std::string path; ///< "layers.3.attn.q_proj"
};

/// One row of the memory ledger; its rows add up to Session::arenaBytes() plus the mapped rows.
struct LedgerRow {
  /// parameters, gradients, moments, caches, state (with gaps between tensors), inputs_outputs,
  /// activations, workspace, mapped_weights; all of them, in this order, also when empty.
  std::string category;
  uint64_t bytes = 0;
  uint64_t count = 0; ///< buffers in it
};

class Session {
public:
  /// Checks the executable (Verify.h), loads its code, takes the arena as zeros and copies stored
  /// tensors that live in it. Throws Error.
  Session(std::shared_ptr<const Executable> executable, SessionOptions options = {});
  ~Session();
  Session(const Session &) = delete;
  Session &operator=(const Session &) = delete;

  const Executable &executable() const;
  int threads() const;

  /// What run() takes for `extent` in one dim and the maximum in the others. Where the executable has no
  /// dim of this name all are at their maximum.
  std::vector<int64_t> dimsWith(std::string_view dim, int64_t extent) const;

  /// The bytes of a named tensor; slot counts only for CACHE tensors. Tensors that are used where
  /// they are mapped are read-only memory. On a GPU this is a copy: spans of inputs and outputs stay
  /// (they go there before a run and come back after it), others must be asked for anew after a run.
  /// bytes() of a packed weight are its panels; f32() and i32() refuse it. Throws Error for unknown
  /// names, slots, and another element type.
  std::span<std::byte> bytes(std::string_view tensor, int slot = 0);
  std::span<float> f32(std::string_view tensor, int slot = 0);
  std::span<int32_t> i32(std::string_view tensor, int slot = 0);

  /// Spans of an output end: on a GPU runs no longer bring it back, until it is asked for anew.
  void release(std::string_view tensor);

  /// Runs one program to its end (on a GPU perhaps behind the caller's back: who asks for tensors
  /// waits, and so does who holds an output of the program). dims: one extent per Executable dim,
  /// within its range (throws Error otherwise); empty means every dim at its maximum. slot: whose
  /// caches CACHE buffers are.
  void run(std::string_view program, std::span<const int64_t> dims = {}, int slot = 0);

  /// Runs like run(), but after each launch looks for NaN and infinity in its float outputs and
  /// stops at the first one. State is left as the launches so far left it: callers keep a copy if
  /// they go on.
  std::optional<NonFinite> runChecked(std::string_view program, std::span<const int64_t> dims = {},
                                      int slot = 0);

  /// Seconds per launch of the latest run() when profiling is on, index as in Program.launches.
  void setProfiling(bool on);
  std::span<const double> launchSeconds() const;

  uint64_t arenaBytes() const; ///< what was taken
  uint64_t
  arenaPeakBytes() const; ///< highest byte that any launch or tensor touches; equals the plan
private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

/// The ledger of an executable before anything runs; its arena rows add up to what a Session takes. Where
/// sequences share a pool of pages (PagePool.h) the session has one slot, whatever `slots` is.
std::vector<LedgerRow> memoryLedger(const Executable &executable, int threads, int slots);

} // namespace lmc
