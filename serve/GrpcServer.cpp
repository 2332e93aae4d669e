#include "serve/GrpcServer.h"

#include "serve/GrpcCalls.h"
#include "serve/GrpcMessages.h"

#include "frontend/tokenizer/Utf8.h"
#include "lmc/v1/language_model.grpc.pb.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

namespace lmc {
namespace {

using grpc::ByteBuffer;
using grpc::CallbackServerContext;

// Every method takes raw bytes: see parseMessage.
template <class Base> using RawHealth = v1::LanguageModel::WithRawCallbackMethod_Health<Base>;
template <class Base> using RawGenerate = v1::LanguageModel::WithRawCallbackMethod_Generate<Base>;
template <class Base>
using RawStream = v1::LanguageModel::WithRawCallbackMethod_GenerateStream<Base>;
template <class Base> using RawTokenize = v1::LanguageModel::WithRawCallbackMethod_Tokenize<Base>;
template <class Base>
using RawDetokenize = v1::LanguageModel::WithRawCallbackMethod_Detokenize<Base>;
template <class Base> using RawModelInfo = v1::LanguageModel::WithRawCallbackMethod_ModelInfo<Base>;

class LanguageModelService
    : public RawHealth<RawGenerate<
          RawStream<RawTokenize<RawDetokenize<RawModelInfo<v1::LanguageModel::Service>>>>>> {
public:
  explicit LanguageModelService(ServedModel &served) : served(served) {}

  grpc::ServerUnaryReactor *Health(CallbackServerContext *context, const ByteBuffer *in,
                                   ByteBuffer *out) override {
    return answer<v1::HealthRequest>(context, in, out, "Health", [&](const auto &) {
      v1::HealthResponse response;
      bool draining = served.scheduler.draining(), lost = !served.scheduler.lost().empty();
      response.set_status(lost ? "lost" : draining ? "draining" : "ok");
      response.set_ready(!draining && !lost);
      response.set_active(served.scheduler.active());
      response.set_queued(served.scheduler.queued());
      return response;
    });
  }

  grpc::ServerUnaryReactor *Tokenize(CallbackServerContext *context, const ByteBuffer *in,
                                     ByteBuffer *out) override {
    return answer<v1::TokenizeRequest>(context, in, out, "Tokenize", [&](const auto &request) {
      v1::TokenizeResponse response;
      auto ids = encodeText(*served.tokenizer, request.text(), request.add_special());
      response.mutable_token_ids()->Add(ids.begin(), ids.end());
      return response;
    });
  }

  grpc::ServerUnaryReactor *Detokenize(CallbackServerContext *context, const ByteBuffer *in,
                                       ByteBuffer *out) override {
    return answer<v1::DetokenizeRequest>(context, in, out, "Detokenize", [&](const auto &request) {
      v1::DetokenizeResponse response;
      std::span<const int32_t> ids(request.token_ids().data(), request.token_ids_size());
      checkTokens(ids, served.tokenizer->vocabSize());
      response.set_raw(decodeTokens(*served.tokenizer, ids));
      response.set_text(toValidUtf8(response.raw()));
      return response;
    });
  }

  grpc::ServerUnaryReactor *ModelInfo(CallbackServerContext *context, const ByteBuffer *in,
                                      ByteBuffer *out) override {
    return answer<v1::ModelInfoRequest>(context, in, out, "ModelInfo", [&](const auto &) {
      const lmc::ModelInfo &model = served.model();
      v1::ModelInfoResponse response;
      response.set_name(model.name);
      response.set_architecture(model.architecture);
      response.set_vocab_size(model.vocab);
      response.set_context_length(model.context);
      response.set_parameters(model.parameters);
      if (model.bos)
        response.set_bos_token_id(*model.bos);
      response.mutable_eos_token_ids()->Add(model.eos.begin(), model.eos.end());
      response.set_slots(served.engine->slots());
      return response;
    });
  }

  grpc::ServerUnaryReactor *Generate(CallbackServerContext *context, const ByteBuffer *in,
                                     ByteBuffer *out) override {
    return startGenerate(served, *context, *in, *out);
  }

  grpc::ServerWriteReactor<ByteBuffer> *GenerateStream(CallbackServerContext *context,
                                                       const ByteBuffer *in) override {
    return startGenerateStream(served, *context, *in);
  }

private:
  /// A call that is answered on the spot.
  template <class Request, class Handler>
  grpc::ServerUnaryReactor *answer(CallbackServerContext *context, const ByteBuffer *in,
                                   ByteBuffer *out, std::string_view method, Handler &&handler) {
    grpc::Status status = grpc::Status::OK;
    try {
      Request request;
      parseMessage(*in, request);
      *out = serialize(handler(request));
    } catch (const RequestFailure &failure) {
      status = failed(served, *context, failure);
    } catch (const std::exception &error) {
      status = failed(served, *context, {Reason::Engine, error.what()});
    }
    served.metrics.request(method, nameOf(status.error_code()));
    auto *reactor = context->DefaultReactor();
    reactor->Finish(status);
    return reactor;
  }

  ServedModel &served;
};

} // namespace

struct GrpcServer::Impl {
  explicit Impl(ServedModel &served) : scheduler(served.scheduler), calls(served) {}
  Scheduler &scheduler;
  LanguageModelService calls;
  Address address;
  std::unique_ptr<grpc::Server> server;
};

GrpcServer::GrpcServer(ServedModel &served, const Address &address)
    : impl(std::make_unique<Impl>(served)) {
  static const bool pluginsReady = [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    return true;
  }();
  (void)pluginsReady;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address.text(), grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&impl->calls);
  builder.SetMaxReceiveMessageSize(maxRequestBytes);
  // Two servers on one port would share its calls without a word.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  // Finds clients that vanished without closing their connection.
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  impl->server = builder.BuildAndStart();
  if (!impl->server || port == 0)
    fail("cannot serve gRPC on {}: the address is in use or not one of this machine's",
         address.text());
  impl->address = address;
  if (!address.isUnix())
    impl->address.port = port;
  auto *health = impl->server->GetHealthCheckService();
  health->SetServingStatus(v1::LanguageModel::service_full_name(), true);
  served.scheduler.onLost([health] { health->SetServingStatus(false); });
}

GrpcServer::~GrpcServer() {
  if (impl)
    impl->scheduler.onLost(nullptr);
  if (impl && impl->server)
    stop(std::chrono::milliseconds(0));
}

const Address &GrpcServer::address() const { return impl->address; }

void GrpcServer::announceStop() {
  auto *health = impl->server->GetHealthCheckService();
  health->SetServingStatus(false);
}

void GrpcServer::stop(std::chrono::milliseconds limit) {
  impl->server->Shutdown(std::chrono::system_clock::now() + limit);
  impl->server->Wait();
}

} // namespace lmc
