#include "train/ConfigSource.h"

#include "runtime/Error.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <vector>

namespace lmc {
namespace {

constexpr uintmax_t maxBytes = 4 << 20;
constexpr int maxDepth = 64;
constexpr int64_t maxNodes = 100000; // also stops aliases that multiply

std::string readText(const std::filesystem::path &file) {
  std::error_code code;
  if (std::filesystem::is_directory(file, code))
    fail("'{}' is a folder, expected a train config (YAML)", file.string());
  std::ifstream in(file, std::ios::binary);
  if (!in)
    fail("cannot read '{}': {}", file.string(), std::strerror(errno));
  std::string text(maxBytes + 1, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (in.bad())
    fail("cannot read '{}': {}", file.string(), std::strerror(errno));
  text.resize(static_cast<size_t>(in.gcount()));
  if (text.size() > maxBytes)
    fail("'{}' is larger than 4 MiB, too large for a train config", file.string());
  return text;
}

std::vector<std::string> splitKey(std::string_view key) {
  std::vector<std::string> parts(1);
  for (char c : key) {
    if (c == '.')
      parts.emplace_back();
    else
      parts.back() += c;
  }
  return parts;
}

} // namespace

ConfigSource::ConfigSource(const std::filesystem::path &file,
                           std::span<const std::string> overrides)
    : shown(file.string()), absolute(std::filesystem::absolute(file).lexically_normal()) {
  std::string text = readText(file);
  try {
    std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.empty())
      fail("{}: the config is empty; it needs at least `model` and `data.train`", shown);
    if (documents.size() > 1)
      fail("{}: holds {} YAML documents, expected one", shown, documents.size());
    document = documents.front();
  } catch (const YAML::Exception &error) {
    fail("{}:{}: {}", shown, error.mark.is_null() ? 1 : error.mark.line + 1, error.msg);
  }
  if (!document.IsMap())
    fail("{}:{}: expected a mapping of keys such as `model:` and `data:`", shown,
         document.Mark().line + 1);
  int64_t count = 0;
  checkNodes(document, 0, count);
  for (const std::string &override : overrides)
    apply(override);
}

void ConfigSource::checkNodes(const YAML::Node &node, int depth, int64_t &count) const {
  if (depth > maxDepth)
    fail("{}:{}: nested more than {} deep", shown, node.Mark().line + 1, maxDepth);
  if (++count > maxNodes)
    fail("{}:{}: more than {} values, counting what aliases repeat", shown, node.Mark().line + 1,
         maxNodes);
  if (node.IsSequence())
    for (const YAML::Node &item : node)
      checkNodes(item, depth + 1, count);
  if (!node.IsMap())
    return;
  std::set<std::string> seen;
  for (const auto &entry : node) {
    if (!entry.first.IsScalar())
      fail("{}:{}: a key must be a plain word", shown, entry.first.Mark().line + 1);
    if (!seen.insert(entry.first.Scalar()).second)
      fail("{}:{}: '{}' is given twice", shown, entry.first.Mark().line + 1, entry.first.Scalar());
    checkNodes(entry.second, depth + 1, count);
  }
}

void ConfigSource::apply(const std::string &text) {
  std::string where = "--set " + text;
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0)
    fail("{}: expected key=value, for example --set optimizer.lr=1e-3", where);
  std::string key = text.substr(0, equals);
  std::vector<std::string> parts = splitKey(key);
  if (std::find(parts.begin(), parts.end(), "") != parts.end() || parts.size() > maxDepth)
    fail("{}: '{}' is not a dotted key", where, key);

  YAML::Node value;
  try {
    value = YAML::Load(text.substr(equals + 1));
  } catch (const YAML::Exception &error) {
    fail("{}: the value is not YAML: {}", where, error.msg);
  }
  YAML::Node at;
  at.reset(document);
  std::string path;
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    path += (i ? "." : "") + parts[i];
    YAML::Node next = at[parts[i]];
    if (next.IsDefined() && !next.IsNull() && !next.IsMap())
      fail("{}: '{}' is not a mapping ({})", where, path, locate(path, next));
    at.reset(next);
  }
  at[parts.back()] = value;
  overridden[key] = where;
}

YAML::Node ConfigSource::find(std::string_view key) const {
  YAML::Node at;
  at.reset(document);
  for (const std::string &part : splitKey(key)) {
    if (!at.IsMap())
      return YAML::Node(YAML::NodeType::Undefined);
    // The const operator[] does not add the key that it looks for.
    const YAML::Node &constant = at;
    YAML::Node next = constant[part];
    if (!next.IsDefined() || next.IsNull())
      return YAML::Node(YAML::NodeType::Undefined);
    at.reset(next);
  }
  return at;
}

std::string ConfigSource::locate(std::string_view key, const YAML::Node &node) const {
  for (std::string_view prefix = key; !prefix.empty();) {
    if (auto it = overridden.find(prefix); it != overridden.end())
      return it->second;
    size_t dot = prefix.rfind('.');
    prefix = dot == std::string_view::npos ? std::string_view() : prefix.substr(0, dot);
  }
  // A mapping that only overrides made has no line of its own.
  if (node.IsDefined() && node.Mark().line >= 0)
    return fmt::format("{}:{}", shown, node.Mark().line + 1);
  for (const auto &[dotted, text] : overridden)
    if (dotted.size() > key.size() && dotted.starts_with(key) && dotted[key.size()] == '.')
      return text;
  return shown;
}

std::filesystem::path ConfigSource::resolve(const std::string &path) const {
  std::filesystem::path joined = (absolute.parent_path() / path).lexically_normal();
  return joined.has_filename() ? joined : joined.parent_path(); // "folder/" is "folder"
}

} // namespace lmc
