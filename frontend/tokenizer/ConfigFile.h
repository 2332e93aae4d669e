// What stands beside a tokenizer in a model's folder.
#pragma once

#include <filesystem>
#include <string>

namespace lmc {

/// The folder's tokenizer_config.json, empty where it has none; a chat_template.jinja, which newer models
/// have for it, is in it as `chat_template`. Error where a file cannot be read or is not UTF-8.
std::string readTokenizerConfig(const std::filesystem::path &folder);

} // namespace lmc
