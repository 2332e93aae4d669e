#include "frontend/chat/Template.h"

#include "frontend/chat/Interpreter.h"

namespace lmc::chat {

struct Template::Parsed {
  Body body;
};

Template::Template(std::string_view text, std::string given) : name(std::move(given)) {
  try {
    parsed = std::make_unique<const Parsed>(parse(text));
  } catch (const Error &error) {
    fail("'{}':{}", name, error.what());
  }
}

Template::~Template() = default;

std::string Template::render(const Value &variables, const Limits &limits, std::time_t now) const {
  Interpreter interpreter(variables, limits, now);
  try {
    return interpreter.run(parsed->body);
  } catch (const Error &error) {
    fail("'{}':{}:{}: {}", name, interpreter.place.line, interpreter.place.column, error.what());
  }
}

} // namespace lmc::chat
