#include "tools/lmc/Commands.h"

#include "runtime/Error.h"

#include <nlohmann/json.hpp>

#include <iostream>
#include <iterator>
#include <sstream>

namespace lmc {
namespace {

struct Options {
  std::string model;
  bool decode = false, special = false;
};

std::shared_ptr<const Tokenizer> tokenizerOf(const std::string &model) {
  if (model == "byte")
    return loadTokenizer(model);
  std::filesystem::path path = model;
  bool file = path.filename() == "tokenizer.json" || path.extension() == ".model";
  if (file || holdsTokenizer(path))
    return loadTokenizer(model);
  ModelSource source = findModel(path);
  if (source.isExecutable) {
    auto executable = Executable::load(path);
    const auto &metadata = executable->message().metadata();
    if (!metadata.contains("tokenizer.json"))
      fail("'{}' has no tokenizer", model);
    std::string config =
        metadata.contains("tokenizer_config.json") ? metadata.at("tokenizer_config.json") : "";
    return parseTokenizer(metadata.at("tokenizer.json"), config, model);
  }
  std::string why;
  if (auto tokenizer = modelTokenizer(source.weights.empty() ? path : source.weights, &why))
    return tokenizer;
  fail("'{}' has no tokenizer ({})", model, why);
}

int run(Options &o, const CommonOptions &common) {
  std::shared_ptr<const Tokenizer> tokenizer = tokenizerOf(o.model);
  std::string text((std::istreambuf_iterator<char>(std::cin)), std::istreambuf_iterator<char>());
  if (!o.decode) {
    std::vector<int32_t> ids = tokenizer->encode(text, o.special);
    if (common.json)
      printJson(ids);
    else
      fmt::print("{}\n", fmt::join(ids, " "));
    return 0;
  }
  for (char &c : text)
    if (c == ',' || c == '[' || c == ']')
      c = ' ';
  std::vector<int32_t> ids;
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    char *end = nullptr;
    errno = 0;
    long id = std::strtol(word.c_str(), &end, 10);
    if (errno || *end || id < 0 || id >= tokenizer->vocabSize())
      fail("'{}' is not a token id in [0, {})", word, tokenizer->vocabSize());
    ids.push_back(static_cast<int32_t>(id));
  }
  std::string bytes = tokenizer->decode(ids);
  std::cout.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  std::cout.flush();
  return 0;
}

} // namespace

Command addTokenize(CLI::App &app, CommonOptions &common) {
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->model,
                 "Model folder, .gguf, .lmx, tokenizer.json, tokenizer.model or 'byte'")
      ->required();
  app.add_flag("--decode", o->decode, "Read ids, write the exact bytes");
  app.add_flag("--special", o->special, "Add BOS and EOS as the tokenizer's template says");
  addCommon(app, common, true);
  return [o, &common] { return run(*o, common); };
}

} // namespace lmc
