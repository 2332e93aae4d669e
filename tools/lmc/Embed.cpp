#include "tools/lmc/Commands.h"

#include "runtime/Error.h"
#include "runtime/Npy.h"
#include "serve/Embedder.h"

#include <nlohmann/json.hpp>

#include <fstream>

namespace lmc {
namespace {

struct Options {
  std::string model, file, output, pooling;
  std::vector<std::string> texts;
  std::optional<bool> normalize;
  CompileSettings settings;
};

/// The texts to embed, with what errors call them.
struct Text {
  std::string name, text;
};

std::vector<Text> textsOf(const Options &o) {
  std::vector<Text> texts;
  for (size_t i = 0; i < o.texts.size(); ++i)
    texts.push_back({fmt::format("text {}", i + 1), o.texts[i]});
  if (o.file.empty())
    return texts;
  std::ifstream stream(o.file);
  if (!stream)
    fail("'{}': cannot be read", o.file);
  int64_t line = 0;
  for (std::string text; std::getline(stream, text);)
    texts.push_back({fmt::format("{}:{}", o.file, ++line), text});
  return texts;
}

int run(Options &o, const CommonOptions &common) {
  if (o.texts.empty() && o.file.empty())
    throw UsageError("give texts with --text or --file");
  std::vector<Text> texts = textsOf(o);
  o.settings.keep = {"forward"};
  o.settings.programs.training = false;
  LoadedModel model = loadModel(o.model, o.settings);
  if (!model.config.isEncoder())
    fail("'{}': {} predicts tokens; lmc embed takes an encoder (bert)", o.model,
         model.info.architecture);
  EncoderConfig config = model.config.encoder;
  if (!o.pooling.empty())
    config.pooling = o.pooling == "first" ? Pooling::First : Pooling::Mean;
  config.normalized = o.normalize.value_or(config.normalized);
  Embedder embedder(model.executable, model.info.vocab,
                    {config.pooling == Pooling::First, config.normalized}, common.threads);
  const Tokenizer &tokenizer = requireTokenizer(model);

  std::vector<float> all;
  for (const Text &text : texts) {
    std::vector<int32_t> tokens = tokenizer.encode(text.text, /*addSpecial=*/true);
    std::vector<float> vector;
    try {
      vector = embedder.embed(tokens);
    } catch (const Error &error) {
      fail("{}: {}", text.name, error.what());
    }
    if (!o.output.empty())
      all.insert(all.end(), vector.begin(), vector.end());
    else if (common.json)
      printJson({{"tokens", tokens.size()}, {"embedding", vector}});
    else
      printJson(vector);
  }
  if (o.output.empty())
    return 0;
  writeNpy(o.output, all, texts.size(), embedder.width());
  if (common.json)
    printJson({{"texts", texts.size()}, {"width", embedder.width()}, {"output", o.output}});
  else
    fmt::print("vectors [{}, {}] -> {}\n", texts.size(), embedder.width(), o.output);
  return 0;
}

} // namespace

Command addEmbed(CLI::App &app, CommonOptions &common) {
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->model, "Model folder or .lmx of an encoder (bert)")->required();
  app.add_option("--text", o->texts, "A text; may be given again");
  app.add_option("--file", o->file, "Texts, one a line");
  app.add_option(
      "-o,--output", o->output,
      "Write float32 vectors [texts, width] to this .npy file, in place of a JSON line each");
  app.add_option(
         "--pooling", o->pooling,
         "Of tokens to a vector: mean, or first ([CLS]) (default: as the model's folder says, "
         "else mean)")
      ->check(CLI::IsMember({"mean", "first"}));
  app.add_flag_callback(
      "--normalize", [o] { o->normalize = true; }, "Divide vectors by their length");
  app.add_flag_callback("--no-normalize", [o] { o->normalize = false; }, "Leave their length");
  addCommon(app, common, true);
  addCompileFlags(app, o->settings);
  addPrecision(app, o->settings);
  addTarget(app, o->settings);
  return [o, &common] { return run(*o, common); };
}

} // namespace lmc
