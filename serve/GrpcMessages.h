// Between the messages of lmc.v1 and the server's own types.
#pragma once

#include "serve/Failure.h"
#include "serve/Generator.h"
#include "serve/Request.h"

#include "lmc/v1/language_model.pb.h"

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/status.h>

namespace lmc {

/// Parses here rather than in gRPC, which answers UNIMPLEMENTED to a message it cannot read.
/// Throws RequestFailure (invalid_argument).
void parseMessage(const grpc::ByteBuffer &bytes, google::protobuf::Message &message);
grpc::ByteBuffer serialize(const google::protobuf::Message &message);

ClientRequest fromProto(const v1::GenerateRequest &message);

/// Appends a piece to a response: a whole answer is built of one piece, a streamed message of
/// several.
void appendTo(v1::GenerateResponse &message, const Piece &piece, const Tokenizer &tokenizer);

grpc::StatusCode statusCode(Reason reason);
/// "INVALID_ARGUMENT", the label of lmc_requests_total.
std::string_view nameOf(grpc::StatusCode code);

} // namespace lmc
