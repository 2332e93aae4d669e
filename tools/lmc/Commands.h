// The subcommands of lmc; each file of this folder adds one.
#pragma once

#include "runtime/Session.h"
#include "tools/lmc/Model.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json_fwd.hpp>

#include <functional>

namespace lmc {

/// Options that every subcommand understands.
struct CommonOptions {
  int threads = 0;
  bool json = false;
};

/// A subcommand registers its options and returns what runs once they are parsed (the exit code).
using Command = std::function<int()>;

Command addCompile(CLI::App &app, CommonOptions &common);
Command addTrain(CLI::App &app, CommonOptions &common);
Command addGenerate(CLI::App &app, CommonOptions &common);
Command addEval(CLI::App &app, CommonOptions &common);
Command addEmbed(CLI::App &app, CommonOptions &common);
Command addRun(CLI::App &app, CommonOptions &common);
Command addTokenize(CLI::App &app, CommonOptions &common);
Command addServe(CLI::App &app, CommonOptions &common);
Command addInspect(CLI::App &app, CommonOptions &common);
Command addQuantize(CLI::App &app, CommonOptions &common);
Command addExport(CLI::App &app, CommonOptions &common);
Command addImport(CLI::App &app, CommonOptions &common);
Command addBench(CLI::App &app, CommonOptions &common);

/// --threads, and --json where the command prints a result.
void addCommon(CLI::App &command, CommonOptions &common, bool json);

/// --time-passes, --dump, --no-cache, --products, shared by all commands that compile.
void addCompileFlags(CLI::App &command, CompileSettings &settings);

/// --products: who computes products on a GPU.
void addProducts(CLI::App &command, CodegenOptions &codegen);

/// --precision, for the commands that compile inference programs; training has it in its config.
void addPrecision(CLI::App &command, CompileSettings &settings);

/// --length, for the commands that generate: the most tokens of a sequence.
void addLength(CLI::App &command, CompileSettings &settings);

/// --kv-cache, for the commands that generate.
void addCache(CLI::App &command, CompileSettings &settings);

/// --kv-page and --kv-pool, for the commands that make programs for several sequences.
void addPages(CLI::App &command, CompileSettings &settings);

/// --target, for the commands that run what they compile; training has it in its config.
void addTarget(CLI::App &command, CompileSettings &settings);

/// One line, or many with an indentation. What is not UTF-8 in a string (GGUF files may hold anything)
/// becomes U+FFFD.
void printJson(const nlohmann::ordered_json &value, int indent = -1);

/// A memory ledger as JSON: rows, arena_bytes, mapped_bytes.
nlohmann::ordered_json ledgerJson(const std::vector<LedgerRow> &rows);

/// Prints a memory ledger: one row a category and the sum, or JSON.
void printLedger(const std::vector<LedgerRow> &rows, bool json);

} // namespace lmc
