#include "serve/GrpcMessages.h"

#include <grpcpp/impl/codegen/proto_utils.h>

namespace lmc {

void parseMessage(const grpc::ByteBuffer &bytes, google::protobuf::Message &message) {
  grpc::ByteBuffer copy = bytes; // shares the slices
  grpc::ProtoBufferReader reader(&copy);
  if (!reader.status().ok() || !message.ParseFromZeroCopyStream(&reader))
    refuse(Reason::InvalidArgument, "the message is not a {} in valid UTF-8",
           message.GetDescriptor()->full_name());
}

grpc::ByteBuffer serialize(const google::protobuf::Message &message) {
  grpc::Slice slice(message.SerializeAsString());
  return {&slice, 1};
}

ClientRequest fromProto(const v1::GenerateRequest &message) {
  ClientRequest request;
  if (message.has_prompt())
    request.prompt = message.prompt();
  if (message.token_ids_size())
    request.tokenIds.emplace(message.token_ids().begin(), message.token_ids().end());
  if (message.has_max_tokens())
    request.maxTokens = message.max_tokens();
  if (message.has_temperature())
    request.temperature = message.temperature();
  if (message.has_top_k())
    request.topK = message.top_k();
  if (message.has_top_p())
    request.topP = message.top_p();
  if (message.has_seed())
    request.seed = message.seed();
  request.stop.assign(message.stop().begin(), message.stop().end());
  if (message.has_logprobs())
    request.logprobs = message.logprobs();
  return request;
}

void appendTo(v1::GenerateResponse &message, const Piece &piece, const Tokenizer &tokenizer) {
  message.mutable_text()->append(piece.text);
  message.mutable_token_ids()->Add(piece.tokens.begin(), piece.tokens.end());
  for (const Sampled &sampled : piece.sampled) {
    v1::TokenLogprob &entry = *message.add_logprobs();
    entry.set_token_id(sampled.token);
    entry.set_token(tokenText(tokenizer, sampled.token));
    entry.set_logprob(static_cast<float>(sampled.logprob));
    for (const Scored &scored : sampled.top) {
      v1::TopLogprob &top = *entry.add_top();
      top.set_token_id(scored.token);
      top.set_token(tokenText(tokenizer, scored.token));
      top.set_logprob(static_cast<float>(scored.value));
    }
  }
}

grpc::StatusCode statusCode(Reason reason) {
  switch (reason) {
  case Reason::InvalidArgument:
    return grpc::INVALID_ARGUMENT;
  case Reason::Deadline:
    return grpc::DEADLINE_EXCEEDED;
  case Reason::Cancelled:
    return grpc::CANCELLED;
  case Reason::Overloaded:
    return grpc::RESOURCE_EXHAUSTED;
  case Reason::Draining:
    return grpc::UNAVAILABLE;
  case Reason::Tokenizer:
  case Reason::Sampling:
  case Reason::MalformedLogits:
  case Reason::Engine:
    break;
  }
  return grpc::INTERNAL;
}

std::string_view nameOf(grpc::StatusCode code) {
  switch (code) {
  case grpc::OK:
    return "OK";
  case grpc::INVALID_ARGUMENT:
    return "INVALID_ARGUMENT";
  case grpc::DEADLINE_EXCEEDED:
    return "DEADLINE_EXCEEDED";
  case grpc::CANCELLED:
    return "CANCELLED";
  case grpc::RESOURCE_EXHAUSTED:
    return "RESOURCE_EXHAUSTED";
  case grpc::UNAVAILABLE:
    return "UNAVAILABLE";
  default:
    return "INTERNAL";
  }
}

} // namespace lmc
