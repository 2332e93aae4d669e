// PyTorch beside lmc: a child process that builds the same thing and runs it once a line it reads.
#pragma once

#include "tools/bench/Roof.h"

#include <nlohmann/json.hpp>

namespace lmc::bench {

/// What torch_peer.py understands: "attention" with b, t, h, g, d, backward, bf16; "product" with m,
/// n, k, transpose_a, transpose_b, bf16; "train" with layers, heads, width, vocab, context, biases,
/// batch, length, bf16; "copy" with bytes (moved: read and written).
struct TorchWork {
  std::string kind;
  nlohmann::json settings;
};

/// Of the wanted ones "torch" (eager) and "torch-compile" (torch.compile). One that does not start
/// is left out, with a line on stderr that says why.
std::vector<Peer> torchPeers(const PeerOptions &options, const TorchWork &work);

/// A GPU's roof as PyTorch reaches it: a bf16 product of 8192 x 8192 x 8192, a copy of 2 GiB. Null,
/// with a line on stderr that says why, where PyTorch does not run.
std::unique_ptr<Roof> torchRoof(const PeerOptions &options);

} // namespace lmc::bench
