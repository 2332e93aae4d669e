// Values as text: Python's str and repr, and JSON.
#include "frontend/chat/Text.h"

#include "frontend/tokenizer/Utf8.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <utf8proc.h>

namespace lmc::chat {
namespace {

/// Whether repr shows a character as it is.
bool isPrintable(char32_t point) {
  switch (utf8proc_category(static_cast<int32_t>(point))) {
  case UTF8PROC_CATEGORY_CN:
  case UTF8PROC_CATEGORY_CC:
  case UTF8PROC_CATEGORY_CF:
  case UTF8PROC_CATEGORY_CS:
  case UTF8PROC_CATEGORY_CO:
  case UTF8PROC_CATEGORY_ZL:
  case UTF8PROC_CATEGORY_ZP:
    return false;
  case UTF8PROC_CATEGORY_ZS:
    return point == ' ';
  default:
    return true;
  }
}

/// A text that grows within the budget.
class Writer {
public:
  explicit Writer(Budget &budget) : budget(budget) {}
  void add(std::string_view text) {
    budget.bytes(static_cast<int64_t>(text.size()));
    result += text;
  }
  std::string take() { return std::move(result); }

  void scalar(const Value &value, const char *none, const char *yes, const char *no) {
    if (value.isNone())
      add(none);
    else if (value.isBool())
      add(value.truth() ? yes : no);
    else if (value.isInteger())
      add(std::to_string(value.integer()));
    else
      add(floatText(value.number()));
  }

  void repr(const Value &value) {
    budget.step();
    if (value.isString())
      reprText(value.text());
    else if (value.isList())
      reprList(value.list());
    else if (value.isDict())
      reprDict(value.dict());
    else if (value.isUndefined())
      add("Undefined");
    else if (value.isNone() || value.isNumber())
      scalar(value, "None", "True", "False");
    else
      fail("a {} cannot be printed", value.kind());
  }

  void json(const Value &value, const JsonStyle &style, int level) {
    budget.step();
    value.requireDefined();
    if (value.isString())
      jsonText(value.text(), style.ascii);
    else if (value.isList())
      container(value.list().items, "[]", style, level,
                [&](const Value &item) { json(item, style, level + 1); });
    else if (value.isDict())
      jsonDict(value.dict(), style, level);
    else if (value.isFloat() && !std::isfinite(value.number()))
      add(std::isnan(value.number()) ? "NaN" : value.number() < 0 ? "-Infinity" : "Infinity");
    else if (value.isNone() || value.isNumber())
      scalar(value, "null", "true", "false");
    else
      fail("a {} has no form in JSON", value.kind());
  }

private:
  void reprText(const std::string &text) {
    char quote =
        text.find('\'') != std::string::npos && text.find('"') == std::string::npos ? '"' : '\'';
    add(std::string_view(&quote, 1));
    for (std::string_view character : characters(text)) {
      size_t length = utf8Length(character);
      char32_t point = length ? utf8CodePoint(character, length) : 0xFFFD;
      if (point == static_cast<char32_t>(quote) || point == '\\')
        add("\\"), add(character);
      else if (point == '\n' || point == '\r' || point == '\t')
        add(point == '\n' ? "\\n" : point == '\r' ? "\\r" : "\\t");
      else if (isPrintable(point))
        add(character);
      else if (auto number = static_cast<uint32_t>(point); point < 0x100)
        add(fmt::format("\\x{:02x}", number));
      else
        add(point < 0x10000 ? fmt::format("\\u{:04x}", number) : fmt::format("\\U{:08x}", number));
    }
    add(std::string_view(&quote, 1));
  }

  void reprList(const List &list) {
    add(list.tuple ? "(" : "[");
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0)
        add(", ");
      repr(list.items[i]);
    }
    add(!list.tuple ? "]" : list.items.size() == 1 ? ",)" : ")");
  }

  void reprDict(const Dict &dict) {
    add("{");
    for (size_t i = 0; i < dict.items.size(); ++i) {
      if (i > 0)
        add(", ");
      reprText(dict.items[i].first);
      add(": ");
      repr(dict.items[i].second);
    }
    add("}");
  }

  void line(const JsonStyle &style, int level) {
    if (!style.indent)
      return;
    add("\n");
    for (int i = 0; i < level; ++i)
      add(*style.indent);
  }

  template <typename Items, typename Each>
  void container(const Items &items, const char *brackets, const JsonStyle &style, int level,
                 Each each) {
    add(std::string_view(brackets, 1));
    bool first = true;
    for (const auto &item : items) {
      if (!std::exchange(first, false))
        add(style.itemSeparator);
      line(style, level + 1);
      each(item);
    }
    if (!first)
      line(style, level);
    add(std::string_view(brackets + 1, 1));
  }

  void jsonDict(const Dict &dict, const JsonStyle &style, int level) {
    std::vector<const std::pair<std::string, Value> *> items;
    for (const auto &item : dict.items)
      items.push_back(&item);
    if (style.sortKeys)
      std::ranges::sort(items, {}, [](auto *item) -> const std::string & { return item->first; });
    container(items, "{}", style, level, [&](auto *item) {
      jsonText(item->first, style.ascii);
      add(style.keySeparator);
      json(item->second, style, level + 1);
    });
  }

  void jsonText(const std::string &text, bool ascii) {
    add("\"");
    for (size_t at = 0; at < text.size();) {
      size_t length = std::max<size_t>(utf8Length(std::string_view(text).substr(at)), 1);
      std::string_view character(text.data() + at, length);
      at += length;
      auto c = static_cast<unsigned char>(character[0]);
      if (c == '"' || c == '\\')
        add("\\"), add(character);
      else if (const char *found = c < 0x20 && c ? std::strchr("\bb\ff\nn\rr\tt", c) : nullptr)
        add("\\"), add(std::string_view(found + 1, 1));
      else if (c < 0x20)
        add(fmt::format("\\u{:04x}", c));
      else if (c < 0x80 || !ascii || utf8Length(character) == 0)
        add(character);
      else
        escaped(utf8CodePoint(character, length));
    }
    add("\"");
  }

  void escaped(char32_t point) {
    auto number = static_cast<uint32_t>(point);
    if (number < 0x10000)
      add(fmt::format("\\u{:04x}", number));
    else // a pair of surrogates
      add(fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((number - 0x10000) >> 10),
                      0xDC00 + ((number - 0x10000) & 0x3FF)));
  }

  Budget &budget;
  std::string result;
};

} // namespace

std::string str(const Value &value, Budget &budget) {
  if (value.isUndefined())
    return "";
  if (value.isString())
    return value.text();
  Writer writer(budget);
  writer.repr(value);
  return writer.take();
}

std::string toJson(const Value &value, const JsonStyle &style, Budget &budget) {
  Writer writer(budget);
  writer.json(value, style, 0);
  return writer.take();
}

} // namespace lmc::chat
