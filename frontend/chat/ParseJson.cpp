// JSON to values. Not through nlohmann's own value: its ordered one looks each key up among all others,
// which a client could make slow.
#include "frontend/chat/Text.h"

#include <nlohmann/json.hpp>

namespace lmc::chat {
namespace {

/// Collects what nlohmann's parser calls out, innermost container last.
class Collector {
public:
  using Json = nlohmann::json;

  bool null() { return put(Value()); }
  bool boolean(bool value) { return put(value); }
  bool number_integer(int64_t value) { return put(value); }
  bool number_unsigned(uint64_t value) {
    if (value > INT64_MAX)
      fail("the integer {} is beyond 64 bits", value);
    return put(static_cast<int64_t>(value));
  }
  bool number_float(double value, const std::string &) { return put(value); }
  bool string(std::string &value) { return put(std::move(value)); }
  bool binary(Json::binary_t &) { fail("binary values are not JSON"); }
  bool start_object(size_t) { return open(true); }
  bool start_array(size_t) { return open(false); }
  bool key(std::string &name) {
    containers.back().key = std::move(name);
    return true;
  }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool parse_error(size_t at, const std::string &, const Json::exception &error) {
    fail("no JSON at byte {}: {}", at, error.what());
  }

  Value result;

private:
  struct Container {
    bool isObject;
    std::string key;
    std::vector<Value> items;
    std::vector<std::pair<std::string, Value>> members;
  };

  bool open(bool isObject) {
    if (containers.size() >= maxNesting)
      fail("JSON is nested more than {} deep", maxNesting);
    containers.push_back({isObject, {}, {}, {}});
    return true;
  }
  bool close() {
    Container done = std::move(containers.back());
    containers.pop_back();
    return put(done.isObject ? Value::dict(std::move(done.members))
                             : Value::list(std::move(done.items)));
  }
  bool put(Value value) {
    if (containers.empty())
      result = std::move(value);
    else if (containers.back().isObject)
      containers.back().members.emplace_back(std::move(containers.back().key), std::move(value));
    else
      containers.back().items.push_back(std::move(value));
    return true;
  }

  std::vector<Container> containers;
};

} // namespace

Value parseJson(std::string_view text) {
  Collector collector;
  nlohmann::json::sax_parse(text, &collector);
  return std::move(collector.result);
}

} // namespace lmc::chat
