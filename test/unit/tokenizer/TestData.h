// Where the tables of test/data and the models of ../shared are (tests run in the repository root).
#pragma once

#include <nlohmann/json.hpp>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace lmc {

inline std::string readFile(const std::filesystem::path &path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  if (!file)
    throw std::runtime_error("cannot read " + path.string());
  return text.str();
}

inline nlohmann::json readTable(const std::string &name) {
  return nlohmann::json::parse(readFile("test/data/tokenizer/" + name));
}

inline std::filesystem::path sharedFolder() {
  const char *given = std::getenv("LMC_SHARED");
  return given ? std::filesystem::path(given) : std::filesystem::path("../shared");
}

} // namespace lmc
