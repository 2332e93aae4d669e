// A YAML file with `--set` overrides laid over it, and the place that each key came from.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>

namespace lmc {

class ConfigSource {
public:
  /// Reads the file and lays `key=value` overrides over it: the key dotted, the value YAML. Throws
  /// Error with file:line (or the --set text) for anything that is not one mapping without
  /// duplicate keys, for an unreadable file and for an override that goes through a plain value.
  ConfigSource(const std::filesystem::path &file, std::span<const std::string> overrides);

  const YAML::Node &root() const { return document; }

  /// The node at a dotted key; undefined where the key is left out or null.
  YAML::Node find(std::string_view key) const;

  /// "train.yaml:14" or "--set optimizer.lr=fast": where the value of a key came from.
  std::string locate(std::string_view key, const YAML::Node &node) const;

  /// Relative paths are meant from the config's own folder. Absolute and normal.
  std::filesystem::path resolve(const std::string &path) const;

  /// Absolute path of the file.
  const std::filesystem::path &path() const { return absolute; }
  /// The file as the user named it, for errors that have no line.
  const std::string &name() const { return shown; }

private:
  void apply(const std::string &text);
  void checkNodes(const YAML::Node &node, int depth, int64_t &count) const;

  std::string shown;
  std::filesystem::path absolute;
  YAML::Node document;
  std::map<std::string, std::string, std::less<>> overridden; // dotted key -> "--set key=value"
};

} // namespace lmc
