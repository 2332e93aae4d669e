// The gRPC front: lmc.v1.LanguageModel, grpc.health.v1.Health and server reflection on one address.
//
// Built on gRPC's callback interface: a call holds no thread while it waits for tokens or for a
// slow reader, so neither stalls other calls.
#pragma once

#include "serve/Address.h"
#include "serve/ServedModel.h"

#include <chrono>
#include <memory>

namespace lmc {

class GrpcServer {
public:
  /// Listens at once. Throws Error where the address cannot be used.
  GrpcServer(ServedModel &served, const Address &address);
  ~GrpcServer();

  const Address &address() const; ///< with the port that was picked

  /// Tells health checks that this server is going away; calls still work.
  void announceStop();
  /// Takes no more calls and waits for those under way, which are cancelled after `limit`.
  void stop(std::chrono::milliseconds limit);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace lmc
