// The two gRPC calls that take time: one reactor each, driven by the scheduler and by gRPC.
#pragma once

#include "serve/ServedModel.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

namespace lmc {

/// Counts the failure and turns it into a status; the reason goes along as trailing metadata
/// ("lmc-reason").
grpc::Status failed(ServedModel &served, grpc::CallbackServerContext &context,
                    const RequestFailure &failure);

grpc::ServerUnaryReactor *startGenerate(ServedModel &served, grpc::CallbackServerContext &context,
                                        const grpc::ByteBuffer &in, grpc::ByteBuffer &out);

grpc::ServerWriteReactor<grpc::ByteBuffer> *
startGenerateStream(ServedModel &served, grpc::CallbackServerContext &context,
                    const grpc::ByteBuffer &in);

} // namespace lmc
