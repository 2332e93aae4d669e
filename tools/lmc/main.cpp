// lmc: one program, one subcommand for each thing a user does with a model.
#include "tools/lmc/Commands.h"

#include "runtime/Error.h"
#include "runtime/Knobs.h"

#include <nlohmann/json.hpp>

#include <cstdio>
#include <exception>

namespace lmc {

void addCommon(CLI::App &command, CommonOptions &common, bool json) {
  command
      .add_option("--threads", common.threads,
                  "Worker threads; results do not depend on it (default: all cores)")
      ->check(CLI::Range(1, 1024));
  if (json)
    command.add_flag("--json", common.json, "Print the result as JSON");
}

void addCompileFlags(CLI::App &command, CompileSettings &settings) {
  command.add_flag("--time-passes", settings.timePasses,
                   "Print the time of each phase and how many kernels were compiled");
  command.add_option("--dump", settings.pipeline.dumpFolder,
                     "Write the program after each phase into this folder");
  command.add_flag("!--no-cache", settings.codegen.useCache,
                   "Neither read nor write the kernel cache");
  addProducts(command, settings.codegen);
}

void addProducts(CLI::App &command, CodegenOptions &codegen) {
  command
      .add_option_function<std::string>(
          "--products",
          [&](const std::string &name) {
            codegen.products = name == "library" ? Products::Library : Products::Generated;
          },
          "On a GPU: generated kernels, or NVIDIA's cuBLASLt where it is there and has a form for "
          "them (library)")
      ->check(CLI::IsMember({"generated", "library"}))
      ->default_str("generated");
}

void addPrecision(CLI::App &command, CompileSettings &settings) {
  command
      .add_option_function<std::string>(
          "--precision", [&](const std::string &name) { settings.pipeline.bf16 = name == "bf16"; },
          "Of weights, caches and what products read: f32 or bf16 (sums are f32)")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->default_str("f32");
}

void addLength(CLI::App &command, CompileSettings &settings) {
  command
      .add_option_function<int64_t>(
          "--length", [&](int64_t tokens) { settings.setLength(tokens); },
          "The most tokens of a sequence, prompt and answer: caches take memory for so many "
          "(default: the model's context)")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 31));
}

void addCache(CLI::App &command, CompileSettings &settings) {
  command
      .add_option_function<std::string>(
          "--kv-cache",
          [&](const std::string &name) {
            settings.pipeline.cacheFormat = name == "f32" ? "" : name;
          },
          "Of cached keys and values on the CPU: f32, f16 at half the memory, or q8_0 (bytes, 32 "
          "with one scale) at little more than a quarter; with --precision bf16 they are bf16")
      ->check(CLI::IsMember({"f32", "f16", "q8_0"}))
      ->default_str("f32");
}

/// Rows of a product whose bits do not depend on how many there are (serve/Engine.h).
constexpr int64_t kMostTogether = 6;

void addPages(CLI::App &command, CompileSettings &settings) {
  auto *page =
      command
          .add_option(
              "--kv-page", settings.programs.pageTokens,
              "Tokens in a page: sequences share one pool of pages of keys and values, and take "
              "those that they need, where else each slot has room for the longest (default: no "
              "pages)")
          ->check(CLI::Range(int64_t(1), int64_t(1) << 31));
  command
      .add_option(
          "--kv-pool", settings.programs.poolTokens,
          "With --kv-page: tokens of all sequences together (default: one of --length). A request "
          "waits until there is room for its longest answer")
      ->check(CLI::Range(int64_t(1), int64_t(1) << 31))
      ->needs(page);
  command
      .add_option(
          "--decode-batch", settings.programs.decodeBatch,
          "With --kv-page: sequences whose next tokens are computed together, weights read "
          "once for all (up to 6; default: 0, each by itself). An answer does not depend on "
          "who else is served")
      ->check(CLI::Range(int64_t(0), kMostTogether))
      ->needs(page);
}

void addTarget(CLI::App &command, CompileSettings &settings) {
  command
      .add_option("--target", settings.target,
                  "Where to run: cpu, or cuda (this machine's GPU; NVIDIA's driver and NVRTC are "
                  "needed)")
      ->default_str("cpu");
}

void printJson(const nlohmann::ordered_json &value, int indent) {
  fmt::print("{}\n", value.dump(indent, ' ', false, nlohmann::json::error_handler_t::replace));
}

nlohmann::ordered_json ledgerJson(const std::vector<LedgerRow> &rows) {
  nlohmann::ordered_json result;
  uint64_t arena = 0, mapped = 0;
  for (const LedgerRow &row : rows) {
    (row.category == "mapped_weights" ? mapped : arena) += row.bytes;
    result["rows"].push_back(
        {{"category", row.category}, {"bytes", row.bytes}, {"count", row.count}});
  }
  result["arena_bytes"] = arena;
  result["mapped_bytes"] = mapped;
  return result;
}

void printLedger(const std::vector<LedgerRow> &rows, bool json) {
  if (json) {
    printJson(ledgerJson(rows), 2);
    return;
  }
  uint64_t arena = 0;
  for (const LedgerRow &row : rows)
    arena += row.category == "mapped_weights" ? 0 : row.bytes;
  fmt::print("{:<18} {:>10} {:>16}\n", "memory", "buffers", "bytes");
  for (const LedgerRow &row : rows)
    if (row.bytes)
      fmt::print("{:<18} {:>10} {:>16}\n", row.category, row.count, row.bytes);
  fmt::print("{:<18} {:>10} {:>16}  ({:.1f} MiB)\n", "arena", "", arena,
             static_cast<double>(arena) / (1 << 20));
}

} // namespace lmc

int main(int argc, char **argv) {
  using namespace lmc;
  CLI::App app("lmc compiles, trains and serves language models", "lmc");
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("lmc 0.1.0"));
  app.add_flag_callback(
      "--help-env",
      [&] {
        fmt::print("{}", knobs::table());
        throw CLI::Success();
      },
      "Print the environment variables that lmc reads");
  CommonOptions common;
  std::vector<std::pair<CLI::App *, Command>> commands;
  auto add = [&](const char *name, const char *what, Command (*make)(CLI::App &, CommonOptions &)) {
    CLI::App *command = app.add_subcommand(name, what);
    commands.emplace_back(command, make(*command, common));
  };
  add("compile", "Compile a model and show any stage of it", addCompile);
  add("train", "Train a model as a config says", addTrain);
  add("generate", "Continue a prompt", addGenerate);
  add("eval", "Mean loss of a model on a text", addEval);
  add("embed", "Vectors of texts by an encoder", addEmbed);
  add("run", "One forward pass over token ids", addRun);
  add("tokenize", "Text on standard input to token ids, or back", addTokenize);
  add("serve", "Serve a model over gRPC and HTTP", addServe);
  add("inspect", "Say what is in an .lmx, checkpoint, GGUF or safetensors file", addInspect);
  add("quantize", "Write a model as a GGUF file, quantised or not", addQuantize);
  add("import", "Write a model of any form as a folder that lmc trains, runs and serves",
      addImport);
  add("export", "Write a model as a GGUF file or a Hugging Face folder", addExport);
  add("bench", "Check and time kernels and models on this machine", addBench);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  try {
    for (auto &[command, run] : commands)
      if (command->parsed())
        return run();
  } catch (const UsageError &error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 2;
  } catch (const std::exception &error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return 1;
  }
  return 0;
}
