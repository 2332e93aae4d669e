// PyTorch beside lmc: a child process that builds the same thing and runs it once a line it reads.
#pragma once

#include "tools/bench/Case.h"

#include <nlohmann/json.hpp>

namespace lmc::bench {

/// What torch_peer.py understands: "attention" with b, t, h, d, backward; "train" with layers,
/// heads, width, vocab, context, biases, batch, length.
struct TorchWork {
  std::string kind;
  nlohmann::json settings;
};

/// Of the wanted ones "torch" (eager) and "torch-compile" (torch.compile). One that does not start
/// is left out, with a line on stderr that says why.
std::vector<Peer> torchPeers(const PeerOptions &options, const TorchWork &work);

} // namespace lmc::bench
