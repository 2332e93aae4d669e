// A gRPC client of `lmc serve`: asks for one completion and prints it piece by piece.
#include "lmc/v1/language_model.grpc.pb.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdio>

int main(int argc, char **argv) {
  CLI::App app("Asks a model that `lmc serve` serves", "lmc-client");
  std::string address, prompt;
  int maxTokens = 64, topK = 0, timeoutMs = 60'000;
  float temperature = 1, topP = 1;
  uint64_t seed = 0;
  app.add_option("--grpc", address, "host:port or unix:PATH")->required();
  app.add_option("--prompt", prompt, "Text to continue")->required();
  app.add_option("--max-tokens", maxTokens, "Longest answer")->capture_default_str();
  app.add_option("--temperature", temperature, "0 is greedy")->capture_default_str();
  app.add_option("--top-k", topK, "0 keeps all tokens")->capture_default_str();
  app.add_option("--top-p", topP, "Probability to keep")->capture_default_str();
  auto *seedOption = app.add_option("--seed", seed, "Of sampling; random where not given");
  app.add_option("--timeout-ms", timeoutMs, "Deadline of the call")->capture_default_str();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  auto stub = lmc::v1::LanguageModel::NewStub(
      grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  lmc::v1::GenerateRequest request;
  request.set_prompt(prompt);
  request.set_max_tokens(maxTokens);
  request.set_temperature(temperature);
  request.set_top_k(topK);
  request.set_top_p(topP);
  if (*seedOption)
    request.set_seed(seed);

  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(timeoutMs));
  auto reader = stub->GenerateStream(&context, request);
  lmc::v1::GenerateResponse piece;
  fmt::print("{}", prompt);
  while (reader->Read(&piece)) {
    fmt::print("{}", piece.text());
    std::fflush(stdout);
  }
  fmt::print("\n");
  grpc::Status status = reader->Finish();
  if (!status.ok()) {
    fmt::print(stderr, "error: {}: {} (code {})\n", address, status.error_message(),
               static_cast<int>(status.error_code()));
    return 1;
  }
  fmt::print("[{} prompt tokens, {} generated, finish reason: {}]\n", piece.prompt_tokens(),
             piece.completion_tokens(), piece.finish_reason());
  return 0;
}
