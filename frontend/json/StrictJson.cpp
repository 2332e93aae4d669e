#include "frontend/json/StrictJson.h"

#include "runtime/Error.h"

#include <vector>

namespace lmc {
namespace {

using Json = nlohmann::json;

/// Builds the document from the parser's events. The parser's own filter looks at all members of a
/// container whenever one of them ends, which tens of thousands of tensors or tokens make felt.
class Builder : public nlohmann::json_sax<Json> {
public:
  Builder(Json &root, size_t deepest) : root(root), deepest(deepest) {}

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t &) override { return add(value); }
  bool string(string_t &value) override { return add(std::move(value)); }
  bool binary(binary_t &value) override { return add(std::move(value)); }

  bool start_object(size_t) override { return begin(Json::object()); }
  bool start_array(size_t) override { return begin(Json::array()); }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }

  bool key(string_t &name) override {
    auto [it, isNew] = open.back()->emplace(name, nullptr);
    if (!isNew)
      fail("the member '{}' comes twice in one object", name);
    member = &*it;
    return true;
  }

  bool parse_error(size_t, const std::string &, const Json::exception &error) override {
    if (const auto *range = dynamic_cast<const Json::out_of_range *>(&error))
      throw *range;
    throw dynamic_cast<const Json::parse_error &>(error);
  }

private:
  Json *place(Json value) {
    if (open.empty())
      return &(root = std::move(value));
    if (open.back()->is_array())
      return &open.back()->emplace_back(std::move(value));
    return &(*member = std::move(value));
  }
  bool add(Json value) { return place(std::move(value)); }
  bool begin(Json container) {
    if (open.size() >= deepest)
      fail("JSON is nested deeper than {} levels", deepest);
    open.push_back(place(std::move(container)));
    return true;
  }
  bool end() {
    open.pop_back();
    return true;
  }

  Json &root;
  const size_t deepest;
  std::vector<Json *>
      open; ///< from the root; only the innermost one grows, so all stay where they are
  Json *member = nullptr; ///< that waits for its value
};

} // namespace

Json parseStrictJson(std::string_view text, size_t deepest) {
  Json root;
  Builder builder(root, deepest);
  Json::sax_parse(text, &builder);
  return root;
}

} // namespace lmc
